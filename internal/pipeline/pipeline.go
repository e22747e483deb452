package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/natsserver"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/page"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/transform"
)

// Config is one job in one process.
type Config struct {
	Job       string
	Fetcher   fetcher.Config
	Mapper    mapper.Config
	Mappers   int           // number of mappers, each with Mapper.Workers; 0: only mappers elsewhere
	Listen    string        // host:port for mappers elsewhere; empty: this process only
	Token     string        // token of those mappers; empty: anyone who reaches Listen may join
	Tracer    *trace.Tracer // nil: off
	HTTP      string        // host:port of the fetcher's HTTP server; empty: none
	HTTPHosts string        // allowed host names of requests, see app.HTTP
	Stderr    io.Writer     // receives the standard error of programs (exec); nil means os.Stderr
	// Serving, if not nil, is called with the address of that server, and with a function that reports whether anyone
	// has opened the live page.
	Serving func(addr string, opened func() bool)
}

// Run runs the job over src into out until it is done or ctx ends. If watch is not nil, it is called with a function
// that returns the job's status, and must return soon after its context has ended. Run returns the last status.
//
// The error is the fetcher's (see fetcher.Fetcher.Run), or that of the role that failed first.
func Run(ctx context.Context, cfg Config, src source.Source, out saver.Sink, log zerolog.Logger,
	watch func(context.Context, func() report.Status),
) (report.Status, error) {
	server, err := natsserver.Start(natsserver.Options{Listen: cfg.Listen, Token: cfg.Token, Log: log})
	if err != nil {
		return report.Status{}, app.WrongSetting("LISTEN", ": %w", err)
	}
	defer server.Shutdown()
	if cfg.Listen != "" {
		log.Info().Str("url", server.URL()).Msg("mappers elsewhere can join")
	}
	p := &parts{server: server, cfg: cfg, log: log}
	defer p.close()
	if err := p.open(src, out); err != nil { //nolint:contextcheck // the connection ends with Close, not with a context
		return report.Status{}, err
	}
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	var watcher sync.WaitGroup
	if watch != nil {
		watcher.Go(func() { watch(watching, p.fetcher.Status) })
	}
	err = p.run(ctx)
	stopWatching()
	watcher.Wait()
	return p.fetcher.Status(), err
}

// parts are the roles of a job and their connections.
type parts struct {
	server  *natsserver.Server
	cfg     Config
	log     zerolog.Logger
	buses   []*bus.Bus
	fetcher *fetcher.Fetcher
	mappers []*mapper.Mapper
	saver   *saver.Saver
}

func (p *parts) connect(role bus.Role) (*bus.Bus, error) {
	b, err := bus.Connect(bus.Config{}, bus.Options{
		Job: p.cfg.Job, Role: role, Name: app.Hostname(), Server: p.server, Log: p.log.With().Str("role", string(role)).Logger(),
	})
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", role, err)
	}
	p.buses = append(p.buses, b)
	return b, nil
}

// memoryPart: the chunks and results of all mappers together may take an eighth of the process's memory. Fetcher and
// saver may take a quarter each.
const memoryPart = 8

func (p *parts) open(src source.Source, out saver.Sink) error {
	b, err := p.connect(bus.RoleSaver)
	if err != nil {
		return err
	}
	p.saver = saver.New(b, out, p.roleLog("saver"))
	p.saver.Trace(p.cfg.Tracer)
	if b, err = p.connect(bus.RoleFetcher); err != nil {
		return err
	}
	if p.fetcher, err = fetcher.New(p.cfg.Fetcher, b, src, p.roleLog("fetcher")); err != nil {
		return err
	}
	p.fetcher.Trace(p.cfg.Tracer)
	if p.cfg.Listen != "" {
		p.fetcher.EndMappers()
	}
	p.cfg.Mapper.Memory = max(1, app.Share(p.cfg.Mapper.Memory, memoryPart)/int64(max(1, p.cfg.Mappers)))
	for range p.cfg.Mappers {
		if b, err = p.connect(bus.RoleMapper); err != nil {
			return err
		}
		m, err := mapper.New(p.cfg.Mapper, b, p.roleLog("mapper"))
		if err != nil {
			return err
		}
		m.Trace(p.cfg.Tracer)
		m.Stderr(p.cfg.Stderr)
		p.mappers = append(p.mappers, m)
	}
	return nil
}

func (p *parts) roleLog(role string) zerolog.Logger { return p.log.With().Str("role", role).Logger() }

func (p *parts) close() {
	for _, b := range p.buses {
		b.Close()
	}
}

// run runs the roles and stops them in the order of the data: first the mappers, which need the fetcher for their
// goodbye and the saver for their results, then the fetcher, then the saver.
func (p *parts) run(ctx context.Context) error {
	lasting := context.WithoutCancel(ctx)
	mapping, stopMapping := context.WithCancel(ctx)
	defer stopMapping()
	fetching, stopFetching := context.WithCancel(lasting)
	defer stopFetching()
	saving, stopSaving := context.WithCancel(lasting)
	defer stopSaving()

	var mapErr, fetchErr, saveErr error // each is written by one goroutine and read after both groups have ended
	var savers, others sync.WaitGroup
	savers.Go(func() {
		saveErr = p.saver.Run(saving)
		stopMapping() // without a saver the others have nothing to wait for
		stopFetching()
	})
	others.Go(func() {
		mapErr = p.runMappers(mapping, stopMapping)
		stopFetching()
	})
	others.Go(func() {
		fetchErr = app.RunRole(fetching, app.HTTP{Addr: p.cfg.HTTP, Hosts: p.cfg.HTTPHosts, Log: p.log}, p.fetcher, p.showPage)
		stopMapping()
	})
	others.Wait()
	stopSaving()
	savers.Wait()
	return cause(fetchErr, mapErr, saveErr, ctx.Err() != nil)
}

func (p *parts) showPage(s *app.Server) {
	opened := page.Register(s, p.fetcher, p.cfg.Fetcher.ControlToken, p.roleLog("fetcher"))
	if p.cfg.Serving != nil {
		p.cfg.Serving(s.Addr(), opened)
	}
}

// runMappers runs the mappers until ctx ends or one of them fails.
func (p *parts) runMappers(ctx context.Context, stop func()) error {
	group := new(errgroup.Group)
	for _, m := range p.mappers {
		group.Go(func() error {
			err := m.Run(ctx)
			if err != nil {
				stop()
			}
			return err
		})
	}
	<-ctx.Done() // without mappers here, those elsewhere may work
	return group.Wait()
}

// cause returns the first error and not one that followed from it: when another role fails, the fetcher is stopped, and
// its own error only says so.
//
// If a program exited badly (transform.ErrEnd), a job that is done has failed, and so has one that ended on its own.
// stopped reports whether the job was stopped from outside.
func cause(fetchErr, mapErr, saveErr error, stopped bool) error {
	if errors.Is(mapErr, transform.ErrEnd) && saveErr == nil {
		switch {
		case errors.Is(fetchErr, app.ErrDeadLetters):
			return app.WithCode(app.ExitFailed, errors.Join(mapErr, fetchErr))
		case errors.Is(fetchErr, fetcher.ErrUnfinished) && stopped && !errors.Is(mapErr, transform.ErrBroken):
			return app.WithCode(app.ExitInterrupted, errors.Join(mapErr, fetchErr))
		}
	}
	if fetchErr != nil && !errors.Is(fetchErr, fetcher.ErrUnfinished) {
		return fetchErr
	}
	if err := errors.Join(saveErr, mapErr); err != nil {
		return err
	}
	return fetchErr
}

// pollInterval is how often Poll shows the status.
const pollInterval = 200 * time.Millisecond

// Poll calls show with the status every 200 ms until ctx ends, and once more at the end.
func Poll(ctx context.Context, status func() report.Status, show func(report.Status)) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			show(status())
		case <-ctx.Done():
			show(status())
			return
		}
	}
}
