package saver

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
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// Config is the saver's settings.
type Config struct {
	Sink   string `envconfig:"SINK" default:"./out" desc:"where results go: a folder (PATH or folder:PATH)"`
	Memory int64  `envconfig:"MEMORY_BYTES" default:"0" desc:"bytes of results that are held at a time, beyond which mappers are told to come again; 0: a quarter of the memory limit"`
	Token  string `envconfig:"RESULT_TOKEN" desc:"who sends it may download the result from HTTP_ADDR (chunkline export), 8 or more printable characters without blanks; empty: only clients on this machine may, as through kubectl port-forward"`
}

// Validate says which setting is wrong, and what would be right.
func (c Config) Validate() error {
	switch {
	case c.Memory < 0:
		return app.WrongSetting("MEMORY_BYTES", "=%d: use 0 (a quarter of the memory limit) or more", c.Memory)
	case c.Token != "" && !app.IsToken(c.Token):
		return app.WrongSetting("RESULT_TOKEN", " (not shown): use at least %d printable ASCII characters without blanks, or leave it empty", app.MinToken)
	}
	return nil
}

// memoryPart is the part of the process's memory that results may take: 256 MiB of
// 1 GiB. Reading, writing and the garbage collector take as much again, and more.
const memoryPart = 4

// stopTimeout bounds how long a saver that was told to stop waits for
// handlers that still run. They only decode, so this is generous.
const stopTimeout = 5 * time.Second

// A Saver commits results to one sink.
type Saver struct {
	bus     *bus.Bus
	sink    sink.Sink
	log     zerolog.Logger
	strange zerolog.Logger // for messages that no correct program sends: a flood of them fills no disk
	trouble troubles
	metrics *meters
	tracer  *trace.Tracer // nil: off

	most       int64        // bytes of results that are held
	shadowed   chan pending // handlers → compare loop
	comparing  atomic.Int64 // bytes in shadowed, and of the one that is compared
	shadows    shadows
	queue      chan pending                     // handlers → commit loop
	queued     atomic.Int64                     // bytes in queue
	confirms   confirms                         // commit loop → confirm loop
	syncs      chan *bus.Request                // handlers → sync loop
	finish     finishing                        // only the sync loop, and what it starts
	duplicates atomic.Uint64                    // results dropped
	plan       atomic.Pointer[chunk.PlanID]     // of the sink, once it is known
	full       fullness                         // what found no space
	syncing    atomic.Int64                     // nanoseconds that the commit under way has waited for the disk
	last       atomic.Pointer[report.SaverLoad] // as it was at the end of the last commit
	pulse      app.Pulse                        // the commit loop turns
}

// troubles is what may fail again and again, each said once.
type troubles struct{ full, claim, merge, fetcher *app.Trouble }

func newTroubles(log zerolog.Logger) troubles {
	return troubles{
		full:    app.NewTrouble(log, zerolog.ErrorLevel, 0, "sink is full: results wait until there is space", "sink has space again"),
		claim:   app.NewTrouble(log, zerolog.ErrorLevel, 0, "could not record a claim", ""),
		merge:   app.NewTrouble(log, zerolog.ErrorLevel, 0, "could not finish the job", ""),
		fetcher: app.NewTrouble(log, zerolog.WarnLevel, app.Patience, "no answer from the fetcher, trying on", "the fetcher answers again"),
	}
}

// New makes a saver. It does not own the bus or the sink: the caller closes
// them after Run has returned.
func New(b *bus.Bus, s sink.Sink, log zerolog.Logger) *Saver {
	m := &Saver{
		bus: b, sink: s, log: log, metrics: newMeters(),
		strange:  app.Sampled(log),
		trouble:  newTroubles(log),
		queue:    make(chan pending, maxQueued),
		confirms: newConfirms(),
		syncs:    make(chan *bus.Request, maxSyncs),
		shadowed: make(chan pending, maxShadows),
	}
	m.metrics.set.Gather(m.metrics.gather(m))
	if watched, ok := s.(interface {
		OnSync(func(string, time.Duration))
	}); ok {
		watched.OnSync(func(file string, took time.Duration) {
			m.syncing.Add(int64(took))
			m.metrics.sync.WithLabelValues(file).Observe(took.Seconds())
		})
	}
	m.Memory(0)
	return m
}

// Memory sets how many bytes of results are held at a time; 0 is a quarter of the
// memory limit. Results that come in parts may take three eighths of it until they are
// answered, so that none is sent in vain; all that wait for their commit a half; those that
// wait to be compared an eighth. It is called before Run.
func (s *Saver) Memory(bytes int64) {
	s.most = app.Share(bytes, memoryPart)
	s.bus.Bound(int(s.most*3/8), int(s.most/8), nil)
}

// Trace makes the saver trace commits. It is called before Run.
func (s *Saver) Trace(t *trace.Tracer) { s.tracer = t }

// Run serves until ctx ends, then commits and answers what it has taken. It
// returns early with an error when the sink is broken or the bus is closed
// for good.
func (s *Saver) Run(ctx context.Context) error {
	stopServing, err := s.bus.Serve(bus.Service{
		Name: "saver", Version: app.Version(), Description: "commits the results of job " + s.bus.Job(),
		Endpoints: []bus.Endpoint{
			{Verb: wire.VerbSave, Queue: "saver", Handle: s.handleSave},
			{Verb: wire.VerbSync, Queue: "saver", Handle: s.handleSync},
		},
	})
	if err != nil {
		return fmt.Errorf("serve saver: %w", err)
	}
	failpoint.Hit("saver.serving")

	// The loops outlive ctx: what was taken is committed and answered.
	group, work := errgroup.WithContext(context.WithoutCancel(ctx))
	waiting, stopWaiting := context.WithCancel(ctx)
	group.Go(func() error {
		if s.bus.WaitOnline(waiting) == nil { // its service is registered then
			s.log.Info().Msg("saver serves")
		}
		return nil
	})
	group.Go(func() error { defer s.confirms.close(); return s.commitLoop(work) })
	group.Go(func() error { return s.confirmLoop(work) })
	group.Go(func() error { return s.syncLoop(work) })
	group.Go(func() error { return s.compareLoop(work) })
	group.Go(func() error {
		err := s.waitForEnd(ctx, work)
		stopWaiting()
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if e := stopServing(stopping); e != nil {
			return errors.Join(err, fmt.Errorf("stop serving: %w", e))
		}
		failpoint.Hit("saver.stop.deaf")
		close(s.queue) // no handler runs any more
		close(s.syncs)
		close(s.shadowed)
		return err
	})
	return group.Wait()
}

// waitForEnd waits for whatever ends the saver first.
func (s *Saver) waitForEnd(ctx, work context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-work.Done(): // a loop failed and returns the reason
		return nil
	case <-s.bus.Closed():
		return app.WithCode(app.ExitUnreachable, fmt.Errorf("connection closed for good: %w", s.bus.Err()))
	}
}

// Alive says whether the commit loop turns.
func (s *Saver) Alive() error { return s.pulse.Check() }

// Ready says whether the saver could commit a result that came now.
func (s *Saver) Ready() error {
	switch {
	case !s.bus.Online():
		return errors.New("not connected to NATS")
	case s.full.why() != "":
		return errors.New("sink is full: " + s.full.why())
	}
	return nil
}

// planID is the ID of the plan that the sink is bound to; empty before the
// first claim. It is kept, because it is a hash and every result asks for it.
func (s *Saver) planID() chunk.PlanID {
	if id := s.plan.Load(); id != nil {
		return *id
	}
	plan, bound := s.sink.Plan()
	if !bound {
		return ""
	}
	id := plan.ID()
	s.plan.Store(&id)
	return id
}

// otherPlan says which plan the sink is bound to, if any.
func (s *Saver) otherPlan() string {
	plan, bound := s.sink.Plan()
	if !bound {
		return "sink belongs to no plan yet"
	}
	return fmt.Sprintf("sink holds another plan: %s", plan)
}
