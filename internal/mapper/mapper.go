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
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/webservice"
	"github.com/chunkline/chunkline/internal/wire"
)

// Config is the mapper's settings.
type Config struct {
	Transform   string        `envconfig:"TRANSFORM" desc:"what to do to an object: jq:PROGRAM, exec:PROGRAM ARG… (it reads a line, writes a line and flushes it), https://HOST/PATH (it gets an object, or with #batch=N an array, and answers with JSON), users or identity; empty: what the fetcher says"`
	Token       string        `envconfig:"TRANSFORM_TOKEN" desc:"bearer token for the service of an http TRANSFORM, or @FILE that holds it and is read again for each chunk; empty: none"`
	Headers     string        `envconfig:"TRANSFORM_HEADERS" desc:"headers for that service, lines NAME: VALUE, or @FILE that holds them; empty: none"`
	AllowExec   bool          `envconfig:"ALLOW_EXEC" default:"false" desc:"without a TRANSFORM, also run a program (exec:…) or call a service (http) that the fetcher says"`
	Workers     int           `envconfig:"WORKERS" default:"0" desc:"chunks in work at a time, 0 to 1024; 0: one a CPU"`
	Timeout     time.Duration `envconfig:"TIMEOUT" default:"5m" desc:"longest time for one object, then it is a dead letter; 0: no limit"`
	Retries     int           `envconfig:"RETRIES" default:"3" desc:"how often an object is tried again whose failure is temporary (a service that is down or busy, a program that answers !retry), 0 to 100; then it is a dead letter"`
	Version     string        `envconfig:"VERSION" desc:"version of the transform, kept with what it made; empty: DRILL if set, else chunkline's own"`
	Name        string        `envconfig:"MAPPER_NAME" desc:"name that people know this mapper by; empty: the host name"`
	StopTimeout time.Duration `envconfig:"STOP_TIMEOUT" default:"20s" desc:"how long a chunk in work may go on after SIGTERM before it is given back"`
	EndTimeout  time.Duration `envconfig:"END_TIMEOUT" default:"30s" desc:"how long a program (exec:) may take to end after its input has ended; then SIGTERM, 5 s later SIGKILL; 0: 30s"`
	Memory      int64         `envconfig:"MEMORY_BYTES" default:"0" desc:"bytes of chunks in work and of results that wait for the saver, beyond which the mapper asks for no more; 0: an eighth of the memory limit"`
	Drill       string        `envconfig:"DRILL" desc:"release to imitate, to practise updates: v1 and v5 work, v2 never does, v3 fails 10 % of its checks and work, v4 dies after 20 s; empty: none"`

	declared bool // the version was set, not filled in
}

// Validate says which setting is wrong, and what would be right.
func (c Config) Validate() error {
	switch {
	case c.Workers < 0 || c.Workers > 1024:
		return app.WrongSetting("WORKERS", "=%d: use 0 (one a CPU) to 1024", c.Workers)
	case c.Timeout < 0:
		return app.WrongSetting("TIMEOUT", "=%s: use a duration of 0 (no limit) or more", c.Timeout)
	case c.Retries < 0 || c.Retries > MaxRetries:
		return app.WrongSetting("RETRIES", "=%d: use 0 (none) to %d", c.Retries, MaxRetries)
	case c.StopTimeout < 0:
		return app.WrongSetting("STOP_TIMEOUT", "=%s: use a duration of 0 or more", c.StopTimeout)
	case c.Memory < 0:
		return app.WrongSetting("MEMORY_BYTES", "=%d: use 0 (an eighth of the memory limit) or more", c.Memory)
	case c.EndTimeout < 0:
		return app.WrongSetting("END_TIMEOUT", "=%s: use 0 (30s) or more", c.EndTimeout)
	}
	if wrong, ok := errors.AsType[*webservice.CredentialError](c.credentials().Check("TRANSFORM")); ok {
		return app.WrongSetting(wrong.Setting, " (not shown): %w", wrong.Err)
	}
	return checkDrill(c.Drill)
}

// MaxRetries bounds RETRIES: at 20 s a wait, 100 of them take half an hour.
const MaxRetries = 100

func (c Config) credentials() webservice.Credentials {
	return webservice.Credentials{Token: c.Token, Headers: c.Headers}
}

const (
	beatInterval = time.Second     // the fetcher suspects after 2 s of silence
	nextWait     = 5 * time.Second // how long a request for work waits at the fetcher
	replySlack   = time.Second     // beyond nextWait, for the way there and back
	donePause    = 2 * time.Second // between questions once the job is done
	saveTimeout  = 10 * time.Second
	leaveTimeout = 2 * time.Second // for the goodbye

	// withdrawTimeout is how long a mapper that drains waits for answers to
	// what it has asked. A fetcher that is there gives them at once.
	withdrawTimeout = time.Second

	flushTimeout = 3 * time.Second // a server that has not taken an announcement by then is frozen
	minPause     = 50 * time.Millisecond
	maxPause     = 2 * time.Second
)

// A Mapper runs the workers of one process.
type Mapper struct {
	cfg     Config
	id      string
	task    atomic.Pointer[task]
	bus     *bus.Bus
	log     zerolog.Logger
	strange zerolog.Logger // for messages that no correct program sends: a flood of them fills no disk
	state   *state
	room    *room        // chunks in work and results that are not yet saved
	waiting atomic.Int64 // results that are not yet saved
	jitter  uint64       // of pauses
	metrics *meters
	tracer  *trace.Tracer // nil: off
	pulse   app.Pulse     // the beat loop turns
	peers   *peers
	hellos  *hellos
	drill   *drill // nil, but to practise updates

	stderr io.Writer // takes what programs print to standard error; nil: os.Stderr
	signs  *signs    // of the objects in work

	inProcess bool // jq programs run in this process
	dial      dial // connects to services (http); nil: the network

	drain chan string // takes one without waiting: why the fetcher asks to drain
}

// InProcess makes jq programs run in this process, for tests in simulated
// time. It is called before Run.
func (m *Mapper) InProcess() { m.inProcess = true }

// Dial makes the mapper connect to services (http) in its own way, for tests in
// simulated time. It is called before Run.
func (m *Mapper) Dial(d dial) { m.dial = d }

type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// New makes a mapper. It does not own the bus.
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
			return nil, app.WrongSetting("TRANSFORM", ": %w", err) // it names the setting, unless that has a password
		}
		first.self.Transform = first.spec.Identity()
		if err := app.CheckDescriptors(cfg.Workers, first.spec.Descriptors()); err != nil {
			return nil, err
		}
	}
	m := &Mapper{
		cfg: cfg, id: b.ID(), bus: b, state: newState(), jitter: jitter.Sum64(), metrics: newMeters(cfg.Version),
		log:  log.With().Str("mapper", cfg.Name).Str("mapper_version", cfg.Version).Logger(),
		room: newRoom(app.Share(cfg.Memory, memoryPart)), drain: make(chan string, 1),
		drill: newDrill(cfg.Drill), signs: newSigns(), hellos: newHellos(),
	}
	m.task.Store(first)
	m.strange, m.peers = app.Sampled(m.log), newPeers(m.log)
	m.metrics.set.Gather(m.metrics.gather(m))
	return m, nil
}

// Stderr makes programs (exec) print their standard error to w. It is called before Run.
func (m *Mapper) Stderr(w io.Writer) { m.stderr = w }

// Trace makes the mapper trace chunks. It is called before Run.
func (m *Mapper) Trace(t *trace.Tracer) { m.tracer = t }

// Run works until ctx ends, then drains: no more chunks, StopTimeout for those
// in work, goodbye.
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

	background := new(errgroup.Group)
	background.Go(func() error {
		if m.bus.WaitOnline(asking) == nil {
			m.log.Info().Str("mapper_id", m.id).Int("workers", m.cfg.Workers).Str("transform", m.task.Load().self.Transform).Msg("mapper asks for work")
		}
		return nil
	})
	background.Go(func() error { return m.beatLoop(beating) })
	background.Go(func() error { m.helloLoop(beating); return nil })
	background.Go(func() error { m.bus.OnConnect(beating, m.hellos.ring); return nil })
	background.Go(func() error { m.watch(asking, work, stopAsking, stopWork); return nil })

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
	err = workers.Wait() // also for the results on their way to the saver
	stopAsking(err)
	stopBeating()
	err = errors.Join(err, background.Wait())
	m.leave(context.WithoutCancel(ctx), stopServing)
	if cause := context.Cause(asking); err == nil && errors.Is(cause, errClosed) {
		err = cause
	}
	return err
}

// errClosed ends a mapper whose connection is closed for good.
var errClosed = errors.New("connection closed for good")

// watch turns the end of ctx, a request to drain or a closed connection into
// the end of asking, and StopTimeout later into the end of all work.
func (m *Mapper) watch(asking, work context.Context, stopAsking context.CancelCauseFunc, stopWork context.CancelFunc) {
	select {
	case <-asking.Done():
	case why := <-m.drain:
		m.log.Info().Str("reason", why).Msg("the fetcher asks this mapper to end")
		stopAsking(nil)
	case <-m.bus.Closed():
		stopAsking(app.WithCode(app.ExitUnreachable, fmt.Errorf("%w: %w", errClosed, m.bus.Err())))
		stopWork()
		return
	}
	failpoint.Hit("mapper.drain.begun")
	m.state.drain()
	m.peers.beats.Note(m.beat(nil, false))
	held := m.state.held()
	if len(held) > 0 {
		m.log.Info().Int("chunks", len(held)).Stringer("within", m.cfg.StopTimeout).Msg("draining")
	}
	timeout := time.NewTimer(m.cfg.StopTimeout)
	defer timeout.Stop()
	select {
	case <-timeout.C:
		if held := len(m.state.held()); held > 0 {
			m.log.Warn().Int("chunks", held).Msg("gave back chunks that could not be finished in time")
		}
		stopWork()
	case <-m.state.empty():
	case <-work.Done():
	}
}

// leave says goodbye. Its list is empty: what was not finished is given back.
func (m *Mapper) leave(ctx context.Context, stopServing func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	err := m.beat(nil, true)
	failpoint.Hit("mapper.goodbye.sent")
	if err == nil {
		err = m.bus.Flush(ctx)
	}
	failpoint.Hit("mapper.goodbye.flushed")
	if err != nil {
		m.log.Debug().Err(err).Msg("goodbye may be lost")
	}
	if err := stopServing(ctx); err != nil {
		m.log.Debug().Err(err).Msg("stop serving orders")
	}
	m.log.Info().Msg("mapper stopped")
}

// Alive says whether the beat loop turns.
func (m *Mapper) Alive() error {
	if err := m.drill.alive(); err != nil {
		return err
	}
	return m.pulse.Check()
}

// Ready says whether the mapper can get work, and have it saved.
func (m *Mapper) Ready() error {
	if err := m.drill.ready(); err != nil {
		return err
	}
	if !m.bus.Online() {
		return errors.New("not connected to NATS")
	}
	if role := m.peers.missing(); role != "" {
		return fmt.Errorf("the %s does not answer", role)
	}
	return nil
}
