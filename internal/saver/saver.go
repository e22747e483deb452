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
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// Config is the saver's settings.
type Config struct {
	Sink   string `envconfig:"SINK" default:"./out" desc:"where results go: a folder (PATH or folder:PATH), sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE, or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or azblob://CONTAINER/PREFIX"`
	Memory int64  `envconfig:"MEMORY_BYTES" default:"0" desc:"bytes of results that are held at a time, beyond which mappers must send them again; 0: a quarter of the memory limit"`
	Token  string `envconfig:"RESULT_TOKEN" desc:"token for downloading the result from HTTP_ADDR (chunkline export), 8 or more printable characters without blanks; empty: only clients on this machine may download it, as through kubectl port-forward"`
}

// Validate returns an error that names the first wrong setting and its allowed values.
func (c Config) Validate() error {
	switch {
	case c.Memory < 0:
		return app.WrongSetting("MEMORY_BYTES", "=%d: use 0 (a quarter of the memory limit) or more", c.Memory)
	case c.Token != "" && !app.IsToken(c.Token):
		return app.WrongSetting("RESULT_TOKEN", " (not shown): use at least %d printable ASCII characters without blanks, or leave it empty", app.MinToken)
	}
	return nil
}

// memoryPart is the fraction of the process's memory limit that results may take: 256 MiB of 1 GiB. Reading, writing
// and the garbage collector take at least as much again.
const memoryPart = 4

// stopTimeout bounds how long a stopping saver waits for handlers that still run. Handlers only decode, so they end
// much earlier.
const stopTimeout = 5 * time.Second

// A Saver commits results to one sink.
type Saver struct {
	bus     *bus.Bus
	sink    Sink
	log     zerolog.Logger
	strange zerolog.Logger // for messages that no correct program sends; sampled, so a flood of them does not fill the disk
	trouble troubles
	metrics *meters
	tracer  *trace.Tracer // nil: off

	most       int64        // bytes of results that may be held
	shadowed   chan *parcel // handlers and recheck loop → compare loop
	comparing  atomic.Int64 // bytes of results in shadowed and in comparison
	shadows    shadows
	doubted    chan doubt                       // handlers → recheck loop
	queue      chan *parcel                     // handlers and recheck loop → commit loop
	queued     atomic.Int64                     // bytes in queue and in commit
	waiting    atomic.Int64                     // results in queue
	confirms   confirms                         // commit loop → confirm loop
	syncs      chan *bus.Request                // handlers → sync loop
	finish     finishing                        // owned by the sync loop and the merge that it starts
	duplicates atomic.Uint64                    // dropped results
	plan       atomic.Pointer[chunk.PlanID]     // of the sink; nil before the first claim
	full       fullness                         // the errors of operations that found no space
	syncing    atomic.Int64                     // nanoseconds that the current commit has waited for the disk
	last       atomic.Pointer[report.SaverLoad] // at the end of the last commit
	pulse      app.Pulse                        // of the commit loop
}

// troubles are the outages of a saver. Each is logged once when it begins and once when it ends.
type troubles struct{ full, away, claim, merge, fetcher *app.Trouble }

func newTroubles(log zerolog.Logger) troubles {
	return troubles{
		full:    app.NewTrouble(log, zerolog.ErrorLevel, 0, "sink is full: results wait until there is space", "sink has space again"),
		away:    app.NewTrouble(log, zerolog.ErrorLevel, 0, "sink cannot be reached: results wait until it answers", "sink answers again"),
		claim:   app.NewTrouble(log, zerolog.ErrorLevel, 0, "could not record a claim", ""),
		merge:   app.NewTrouble(log, zerolog.ErrorLevel, 0, "could not finish the job", ""),
		fetcher: app.NewTrouble(log, zerolog.WarnLevel, app.Patience, "no answer from the fetcher, still trying", "the fetcher answers again"),
	}
}

// New makes a saver. The caller closes the bus and the sink after Run has returned.
func New(b *bus.Bus, s Sink, log zerolog.Logger) *Saver {
	m := &Saver{
		bus: b, sink: s, log: log, metrics: newMeters(),
		strange:  app.Sampled(log),
		trouble:  newTroubles(log),
		doubted:  make(chan doubt, maxDoubted),
		queue:    make(chan *parcel, maxQueued),
		confirms: confirms{wake: make(chan struct{}, 1)},
		syncs:    make(chan *bus.Request, maxSyncs),
		shadowed: make(chan *parcel, maxShadows),
	}
	m.metrics.set.Gather(m.metrics.gather(m))
	s.OnSync(func(took time.Duration) {
		m.syncing.Add(int64(took))
		m.metrics.sync.WithLabelValues("log").Observe(took.Seconds())
	})
	m.Memory(0)
	return m
}

// Memory sets how many bytes of results the saver holds at a time; 0 means a quarter of the memory limit. Results that
// wait for their commit may take half of them, and results that wait to be compared an eighth. Results that arrive in
// parts may take three eighths until they are answered: less than half, so that a large result is refused before it is
// sent rather than after. Call Memory before Run.
func (s *Saver) Memory(bytes int64) {
	s.most = app.Share(bytes, memoryPart)
	s.bus.Bound(int(s.most*3/8), int(s.most/8), nil)
}

// Trace makes the saver trace commits. Call it before Run.
func (s *Saver) Trace(t *trace.Tracer) { s.tracer = t }

// Run serves until ctx ends. Then it commits and answers the results that are queued. It returns an error when the sink
// is broken or the connection is closed for good.
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

	// The loops outlive ctx, so that queued results are committed and answered.
	group, work := errgroup.WithContext(context.WithoutCancel(ctx))
	waiting, stopWaiting := context.WithCancel(ctx)
	group.Go(func() error {
		if s.bus.WaitOnline(waiting) == nil { // from then on the service is registered
			s.log.Info().Msg("saver serves")
		}
		return nil
	})
	group.Go(func() error { return s.recheckLoop(work) })
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
		close(s.doubted) // no handler runs any longer
		close(s.syncs)
		return err
	})
	return group.Wait()
}

// waitForEnd waits until ctx ends, a loop fails, or the connection is closed for good.
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

// Alive returns an error if the commit loop no longer runs.
func (s *Saver) Alive() error { return s.pulse.Check() }

// Ready returns an error if the saver could not commit a result now.
func (s *Saver) Ready() error {
	switch {
	case !s.bus.Online():
		return errors.New("not connected to NATS")
	case s.full.why() != "":
		return errors.New("sink is full: " + s.full.why())
	}
	return nil
}

// planID returns the ID of the plan that the sink is bound to; empty before the first claim. The ID is cached, because
// it is a hash and each result is compared with it.
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

// otherPlan is the reason for refusing a message of another plan.
func (s *Saver) otherPlan() string {
	plan, bound := s.sink.Plan()
	if !bound {
		return "sink belongs to no plan yet"
	}
	return fmt.Sprintf("sink holds another plan: %s", plan)
}
