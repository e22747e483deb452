// Command fetcher cuts a data set into chunks and hands them to mappers until every chunk is saved. Its settings are
// environment variables; -h lists them.
package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/page"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/webservice"
)

func main() {
	var (
		nats bus.Config
		cfg  fetcher.Config
	)
	os.Exit(app.Exec("fetcher", "cuts a data set into chunks and hands them to mappers until every chunk is saved.",
		func(ctx context.Context, common app.Common, log zerolog.Logger) error {
			return run(ctx, common, nats, cfg, log)
		}, &nats, &cfg))
}

func run(ctx context.Context, common app.Common, nats bus.Config, cfg fetcher.Config, log zerolog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Source == "" { // in a container, stdin is empty: as a default it would make an empty job that is done
		return app.WrongSetting("SOURCE", " is not set: name the files to read, or - for stdin")
	}
	app.PaceCollector(3 << 20) // the heap is larger than that of other roles: all of CollectorPace saves no more time, and takes 8 MiB more
	return app.Serve(ctx, common.HTTP(log), func(ctx context.Context, s *app.Startup) error {
		return open(ctx, s, common, nats, cfg, log)
	})
}

// open opens the source, connects and runs the fetcher.
func open(ctx context.Context, startup *app.Startup, common app.Common, nats bus.Config, cfg fetcher.Config, log zerolog.Logger) error {
	startup.Doing("opening the source")
	format, err := source.ParseFormat(cfg.Format)
	if err != nil {
		return app.WrongSetting("FORMAT", ": %w", err)
	}
	spool, err := spoolFile(common.Job, cfg)
	if err != nil {
		return err
	}
	src, err := source.Open(source.Options{ //nolint:contextcheck // a second ^C ends a listing of objects that takes long
		Format: format, Size: cfg.ChunkSize, Bytes: cfg.ChunkBytes, Stdin: os.Stdin, Spool: spool,
		Credentials: webservice.Credentials{Token: cfg.SourceToken, Headers: cfg.SourceHeaders},
	}, cfg.Source)
	if errors.Is(err, source.ErrAway) {
		return app.WithCode(app.ExitUnreachable, app.Setting("SOURCE", ": %w", err))
	}
	if err != nil {
		return app.WrongSetting("SOURCE", ": %w", err)
	}
	defer app.Close(log, "source", src)
	startup.Doing("connecting to NATS")
	b, err := bus.Connect(nats, bus.Options{Job: common.Job, Role: bus.RoleFetcher, Name: app.Hostname(), Log: log}) //nolint:contextcheck // the connection ends with Close, not with a context
	if err != nil {
		return app.Usage("%w", err)
	}
	defer b.Close()
	tracer, stopTracing, err := app.Tracing(common.Job, "chunkline-fetcher", log)
	if err != nil {
		return err
	}
	defer stopTracing()
	f, err := fetcher.New(cfg, b, src, log)
	if err != nil {
		return err
	}
	f.Trace(tracer)
	f.LogAlone()
	return startup.Run(ctx, f, func(s *app.Server) { page.Register(s, f, cfg.ControlToken, log) })
}

// spoolFile returns the file that keeps a copy of a source which cannot be read again, and "" without SPOOL.
func spoolFile(job string, cfg fetcher.Config) (string, error) {
	if cfg.Spool == "" {
		if source.IsStream(cfg.Source) {
			return "", app.WrongSetting("SOURCE", ": a command, an API or a query may return something else in the next run, so it must be written down: set SPOOL to a folder on a disk that outlives this process")
		}
		return "", nil
	}
	if info, err := os.Stat(cfg.Spool); err != nil || !info.IsDir() {
		return "", app.WrongSetting("SPOOL", "=%q: not a folder; make it", cfg.Spool)
	}
	return filepath.Join(cfg.Spool, job+".zst"), nil
}
