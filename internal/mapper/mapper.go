package mapper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
)

// A Mapper runs the workers of one process.
type Mapper struct {
	cfg     Config
	id      string
	task    atomic.Pointer[task]
	bus     *bus.Bus
	log     zerolog.Logger
	strange zerolog.Logger // for messages that no correct program sends; sampled, so a flood of them does not fill the disk
	state   *state
	memory  *memory // of pieces in work and of results that are not saved yet
	pace    pace
	waiting atomic.Int64 // results that are not saved yet
	jitter  uint64       // seeds the jitter of pauses
	metrics *meters
	tracer  *trace.Tracer // nil: off
	pulse   app.Pulse     // of the heartbeat loop

	outages  *outages
	hellos   *hellos
	failures *failures
	drill    *drill // nil unless DRILL is set

	stderr    io.Writer // for the standard error of programs (exec); nil: os.Stderr
	inProcess bool      // jq programs run in this process
	dial      dial      // connects to services (http); nil: the network

	drain chan string // holds the reason of the fetcher's order to drain
}

// InProcess makes jq programs run in this process, for tests in simulated time. Call it before Run.
func (m *Mapper) InProcess() { m.inProcess = true }

// Dial sets how the mapper connects to services (http), for tests in simulated time. Call it before Run.
func (m *Mapper) Dial(d dial) { m.dial = d }

type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// New makes a mapper. The caller closes the bus after Run has returned.
func New(cfg Config, b *bus.Bus, log zerolog.Logger) (*Mapper, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	cfg.declared = cmp.Or(cfg.Version, cfg.Drill) != ""
	cfg.Version = cmp.Or(cfg.Version, cfg.Drill, app.Version())
	cfg.Name = cmp.Or(cfg.Name, app.Hostname())
	jitter := fnv.New64a()
	_, _ = io.WriteString(jitter, b.ID()) // never fails
	first := &task{self: report.Mapper{ID: b.ID(), Name: cfg.Name, Version: cfg.Version, Declared: cfg.declared}}
	if cfg.Transform = strings.TrimSpace(cfg.Transform); cfg.Transform != "" {
		var err error
		if first.spec, err = transform.Parse(cfg.Transform); err != nil {
			return nil, app.WrongSetting("TRANSFORM", ": %w", err) // Parse quotes the setting, but not a password in it
		}
		first.self.Transform = first.spec.Identity()
		if err := app.CheckDescriptors(cfg.Workers, first.spec.Descriptors()); err != nil {
			return nil, err
		}
	}
	m := &Mapper{
		cfg: cfg, id: b.ID(), bus: b, state: newState(), jitter: jitter.Sum64(), metrics: newMeters(cfg.Version),
		log:    log.With().Str("mapper", cfg.Name).Str("mapper_version", cfg.Version).Logger(),
		memory: newMemory(app.Share(cfg.Memory, memoryPart)), drain: make(chan string, 1),
		drill: newDrill(cfg.Drill), failures: newFailures(), hellos: newHellos(),
	}
	m.task.Store(first)
	m.strange, m.outages = app.Sampled(m.log), newOutages(m.log)
	m.metrics.set.Gather(m.metrics.gather(m))
	return m, nil
}

// Stderr sends the standard error of programs (exec) to w. Call it before Run.
func (m *Mapper) Stderr(w io.Writer) { m.stderr = w }

// Trace makes the mapper trace chunks. Call it before Run.
func (m *Mapper) Trace(t *trace.Tracer) { m.tracer = t }

// Run works until ctx ends. Then it drains: it asks for no more chunks, finishes those in work within StopTimeout, and
// says goodbye. It returns an error when a transform is broken or the connection is closed for good.
func (m *Mapper) Run(ctx context.Context) error {
	defer m.drill.begin(m.log)()
	stopServing, err := m.bus.Serve(bus.Service{
		Name: "mapper", Version: app.Version(), Hidden: true,
		Endpoints: []bus.Endpoint{{Verb: wire.VerbMapper(m.id), Handle: m.handleOrder}, {Verb: wire.VerbHello, Handle: m.handleHello}},
	})
	if err != nil {
		return fmt.Errorf("serve mapper: %w", err)
	}
	failpoint.Hit("mapper.serving")

	asking, stopAsking := context.WithCancelCause(ctx)
	defer stopAsking(nil)
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	beating, stopBeating := context.WithCancel(context.WithoutCancel(ctx))

	var background sync.WaitGroup
	background.Go(func() {
		if m.bus.WaitOnline(asking) == nil {
			m.log.Info().Str("mapper_id", m.id).Int("workers", m.cfg.Workers).Str("transform", m.task.Load().self.Transform).Msg("mapper asks for work")
		}
	})
	background.Go(func() { m.beatLoop(beating) })
	background.Go(func() { m.helloLoop(beating) })
	background.Go(func() { m.bus.OnConnect(beating, m.hellos.wake) })
	background.Go(func() { m.drainAtEnd(asking, work, stopAsking, stopWork) })

	m.drill.hold(asking)
	workers := new(errgroup.Group)
	for i := range m.cfg.Workers {
		workers.Go(func() error {
			err := m.worker(asking, work, i)
			if err != nil { // its transform is broken: the other workers drain
				stopAsking(err)
			}
			return err
		})
	}
	err = workers.Wait() // and for the results that are on their way to the saver
	stopAsking(err)
	stopBeating()
	background.Wait()
	m.leave(context.WithoutCancel(ctx), stopServing)
	if cause := context.Cause(asking); err == nil && errors.Is(cause, errClosed) {
		err = cause
	}
	return err
}

// Alive returns an error if the heartbeat loop has stopped.
func (m *Mapper) Alive() error {
	if err := m.drill.alive(); err != nil {
		return err
	}
	return m.pulse.Check()
}

// Ready returns an error if the mapper cannot get work or have it saved.
func (m *Mapper) Ready() error {
	if err := m.drill.ready(); err != nil {
		return err
	}
	switch {
	case !m.bus.Online():
		return errors.New("not connected to NATS")
	case m.outages.fetcher.Lasts():
		return errors.New("the fetcher does not answer")
	case m.outages.refusal.Lasts(): // else a rollout would replace all mappers by some that get no work
		return errors.New("the fetcher refuses work: the log says why")
	case m.outages.saver.Lasts():
		return errors.New("the saver does not answer")
	}
	return nil
}
