// Command saver commits results durably and confirms them. Its settings are environment variables; -h lists them.
package main

import (
	"context"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/kinds"
)

func main() {
	var (
		nats bus.Config
		cfg  saver.Config
	)
	os.Exit(app.Exec("saver", "commits results durably and confirms them.",
		func(ctx context.Context, common app.Common, log zerolog.Logger) error {
			if err := cfg.Validate(); err != nil {
				return err
			}
			app.PaceCollector(app.CollectorPace)
			return app.Serve(ctx, common.HTTP(log), func(ctx context.Context, s *app.Startup) error {
				return open(ctx, s, common, nats, cfg, log)
			})
		}, &nats, &cfg))
}

// open opens the sink, connects and runs the saver.
func open(ctx context.Context, startup *app.Startup, common app.Common, nats bus.Config, cfg saver.Config, log zerolog.Logger) error {
	startup.Doing("opening the sink")
	closed := app.NewTrouble(log, zerolog.WarnLevel, app.Patience, "the database takes no connection, still trying", "the database takes connections again").Repeat(time.Minute)
	out, err := kinds.Open(ctx, cfg.Sink, common.Job, closed.Note)
	if err != nil {
		return saver.SinkError("SINK", err)
	}
	defer app.Close(log, "sink", out)
	if folder, ok := out.(*sink.Folder); ok {
		logRecovery(log, folder)
	}
	startup.Doing("connecting to NATS")
	b, err := bus.Connect(nats, bus.Options{Job: common.Job, Role: bus.RoleSaver, Name: app.Hostname(), Log: log}) //nolint:contextcheck // the connection ends with Close, not with a context
	if err != nil {
		return app.Usage("%w", err)
	}
	defer b.Close()
	tracer, stopTracing, err := app.Tracing(common.Job, "chunkline-saver", log)
	if err != nil {
		return err
	}
	defer stopTracing()
	s := saver.New(b, out, log)
	s.Trace(tracer)
	s.Memory(cfg.Memory)
	return startup.Run(ctx, s, func(server *app.Server) {
		(&saver.Downloads{From: out, Token: cfg.Token}).Register(server)
	})
}

// logRecovery logs what was repaired when the folder was opened after a crash.
func logRecovery(log zerolog.Logger, out *sink.Folder) {
	if bytes := out.Recovered(); bytes > 0 {
		log.Warn().Int64("bytes", bytes).Msg("the last saver was killed: removed its uncommitted data")
	}
}
