package fetcher

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/trace"
)

const (
	stopTimeout = 5 * time.Second // for running handlers when the fetcher stops
	maxEvents   = 1024            // events that wait for the coordinator
	maxSends    = 128             // grants that wait for a sender
	maxOrders   = 1024            // orders that wait for delivery; excess ones are dropped, because a later list triggers them again
	senders     = 2               // goroutines that read chunks again, encode and answer
)

// A Fetcher runs one job.
type Fetcher struct {
	cfg    Config
	bus    *bus.Bus
	source source.Source
	plan   chunk.Plan
	planID chunk.PlanID
	log    zerolog.Logger

	strange zerolog.Logger // for messages that no correct program sends; sampled, so that a flood does not fill the disk

	memory  memory
	grant   grant // set by the claim, before any loop starts
	started time.Time

	events  chan func(*coordinator)       // handlers and loops → coordinator
	cuts    chan cut                      // cut loop → coordinator
	sends   chan sending                  // coordinator → senders
	orders  chan order                    // coordinator → order loop
	calls   chan func(context.Context)    // to the saver: coordinator → the goroutine that makes them
	last    atomic.Pointer[report.Status] // the coordinator's latest report
	metrics *meters
	tracer  *trace.Tracer // nil: off
	pulse   app.Pulse     // of the coordinator
	serving atomic.Bool

	logsAlone   bool // see LogAlone
	endsMappers bool // see EndMappers
}

// New makes a fetcher. The caller closes the bus and the source after Run has returned.
func New(cfg Config, b *bus.Bus, src source.Source, log zerolog.Logger) (*Fetcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	plan := src.Plan()
	f := &Fetcher{
		cfg: cfg, bus: b, source: src, plan: plan, planID: plan.ID(), log: log, started: time.Now(),
		events: make(chan func(*coordinator), maxEvents), cuts: make(chan cut),
		sends: make(chan sending, maxSends), calls: make(chan func(context.Context), 1),
		orders:  make(chan order, maxOrders),
		strange: app.Sampled(log),
	}
	f.memory.most = app.Share(cfg.Memory, memoryPart)
	b.Bound(int(f.memory.most/4), int(f.memory.most), f.wake) // mayGoOut limits answers to a half
	f.metrics = newMeters()
	f.metrics.set.Gather(f.metrics.gather(f))
	f.publishWaiting(waitsForSaver(nil))
	return f, nil
}

// Trace makes the fetcher trace chunks. Call it before Run.
func (f *Fetcher) Trace(t *trace.Tracer) { f.tracer = t }

// EndMappers makes the fetcher order the mappers to drain when the job is done. It is for a fetcher whose NATS server
// ends with it. Call it before Run.
func (f *Fetcher) EndMappers() { f.endsMappers = true }

// Run runs the job until it is done, until ctx ends, or until an error ends it: ErrFenced, ErrOtherPlan, ErrOtherSink,
// ErrSourceChanged, ErrTooManyDead, ErrHopeless, ErrMute, ErrCancelled. With ON_DONE=stay, it stays until ctx ends when
// the job is done. A done job with dead letters ends with app.ErrDeadLetters. If ctx ends before the job is done, Run
// returns ErrUnfinished.
func (f *Fetcher) Run(ctx context.Context) error {
	defer f.startProgress(ctx)()
	stopStatus, err := f.serveStatus()
	if err != nil {
		return err
	}
	if err := f.claim(ctx); err != nil {
		return errors.Join(err, f.stop(ctx, stopStatus))
	}
	failpoint.Hit("fetcher.claimed")
	stopServing, err := f.serve(context.WithoutCancel(ctx))
	if err := errors.Join(err, f.stop(ctx, stopStatus)); err != nil {
		return err
	}
	f.serving.Store(true)
	failpoint.Hit("fetcher.serving")
	group, work := errgroup.WithContext(ctx)
	running, stop := context.WithCancel(work)
	d := newCoordinator(f)
	group.Go(func() error {
		defer stop() // the other goroutines end with the coordinator
		defer close(f.sends)
		defer close(f.calls)
		defer close(f.orders)
		return d.run(running)
	})
	group.Go(func() error {
		if err := f.cutLoop(running); err != nil {
			f.post(running, func(c *coordinator) { c.fail(err) })
		}
		return nil
	})
	for range senders {
		group.Go(func() error { f.sendLoop(running); return nil })
	}
	group.Go(func() error {
		for call := range f.calls {
			call(running)
		}
		return nil
	})
	group.Go(func() error { f.orderLoop(running); return nil })
	group.Go(func() error {
		f.sayHello(running)
		f.bus.OnConnect(running, func() { f.sayHello(running) })
		return nil
	})
	group.Go(func() error {
		defer stop()
		select {
		case <-running.Done():
			return nil
		case <-f.bus.Closed():
			return app.WithCode(app.ExitUnreachable, fmt.Errorf("connection closed for good: %w", f.bus.Err()))
		}
	})
	err = group.Wait()
	if f.endsMappers && f.Status().State == report.StateDone {
		f.endMappers(context.WithoutCancel(ctx))
	}
	f.serving.Store(false)
	if e := f.stop(ctx, stopServing); e != nil {
		err = errors.Join(err, e)
	}
	return err
}

// stop ends a service and waits for its handlers, for at most stopTimeout.
func (f *Fetcher) stop(ctx context.Context, serving func(context.Context) error) error {
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := serving(stopping); err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// post sends a closure to the coordinator, or returns when ctx ends because the coordinator has ended.
func (f *Fetcher) post(ctx context.Context, event func(*coordinator)) {
	select {
	case f.events <- event:
	case <-ctx.Done():
	}
}

// Alive returns an error if the coordinator has stopped handling events.
func (f *Fetcher) Alive() error { return f.pulse.Check() }

// Ready returns an error if mappers cannot get work or their results cannot be saved.
func (f *Fetcher) Ready() error {
	switch {
	case !f.bus.Online():
		return errors.New("not connected to NATS")
	case !f.serving.Load():
		return errors.New("waiting for the saver to accept the claim")
	case f.Status().SaverAway:
		return errors.New("the saver does not answer")
	case f.Status().Saver.Full != "":
		return errors.New("sink is full: " + f.Status().Saver.Full)
	}
	return nil
}
