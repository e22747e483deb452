// Command mapper asks for chunks, maps their objects and sends the results to the saver. Any number of mappers may run.
// Its settings are environment variables; -h lists them.
package main

import (
	"context"
	"os"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/mapper"
)

func main() {
	var (
		nats bus.Config
		cfg  mapper.Config
	)
	os.Exit(app.Exec("mapper", "asks for chunks, maps their objects and sends the results to the saver.",
		func(ctx context.Context, common app.Common, log zerolog.Logger) error {
			app.PaceCollector(app.CollectorPace)
			return app.Serve(ctx, common.HTTP(log), func(ctx context.Context, s *app.Startup) error {
				return open(ctx, s, common, nats, cfg, log)
			})
		}, &nats, &cfg))
}

// open connects and runs the mapper.
func open(ctx context.Context, startup *app.Startup, common app.Common, nats bus.Config, cfg mapper.Config, log zerolog.Logger) error {
	startup.Doing("connecting to NATS")
	b, err := bus.Connect(nats, bus.Options{Job: common.Job, Role: bus.RoleMapper, Name: app.Hostname(), Log: log}) //nolint:contextcheck // the connection ends with Close, not with a context
	if err != nil {
		return app.Usage("%w", err)
	}
	defer b.Close()
	tracer, stopTracing, err := app.Tracing(common.Job, "chunkline-mapper", log)
	if err != nil {
		return err
	}
	defer stopTracing()
	m, err := mapper.New(cfg, b, log)
	if err != nil {
		return err
	}
	m.Trace(tracer)
	return startup.Run(ctx, m, nil)
}
