package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
)

// scenario is a job and its faults. It follows from the seed alone.
type scenario struct {
	seed     uint64
	objects  int
	size     int // objects of a chunk
	payload  int // most bytes of a message
	pad      int // extra bytes in each object and each output
	bad      map[int]bool
	poison   int // an object that kills every mapper that touches it; -1: none
	mappers  []mapperPlan
	early    bool          // the mappers start before the fetcher, and hear its first hello
	slowest  time.Duration // the slowest mapper's time for a chunk
	backups  bool
	attempts int // MAX_ATTEMPTS

	// fair: no fault hits an announcement of careful mode by itself. A death cannot be attributed to
	// an object that was not announced, or was announced together with the next one. So in a fair
	// scenario the only dead letters are a poisonous object, unreadable ones, and chunks that crashed
	// MAX_ATTEMPTS mappers before an object was announced; fair scenarios have that limit only with a
	// poisonous object (see the ledger's doc). In the others, an object that two mappers announced
	// before they vanished is skipped, as it should be.
	fair bool

	trouble    time.Duration // when all faults end
	phases     []phase
	events     []event
	traps      []trap
	plagues    []plague
	byzantines []byzantinePlan
	strikes    []strike

	releases []release // versions of mappers beside v1
	breakAt  float64   // BREAK_AT
	breakFor time.Duration
}

type mapperPlan struct {
	name     string
	workers  int
	duration time.Duration // of a chunk
	version  string        // empty: v1
}

// phase is a period in which the network is bad.
type phase struct {
	from, to time.Duration
	verb     string // only this one; "": all
	bustest.Rates
}

// event is a planned fault or action.
type event struct {
	at   time.Duration
	kind string // see cluster.happen
	who  []string
	span time.Duration
	way  string // of a cut: in, out or both

	order wire.Control // what the operator wants; of a redo: the version

	every time.Duration // of a doomed process: between crashes
}

// trap crashes a process when a certain packet passes.
type trap struct {
	verb   string
	reply  bool
	who    string // sends or receives it
	sender bool
	nth    int
	when   string // before, at or after
}

// plague kills the first mappers that get a chunk.
type plague struct {
	chunk chunk.ID
	kills int
	after time.Duration
}

// pick returns a random one of some.
func pick[T any](r *rand.Rand, some ...T) T { return some[r.IntN(len(some))] }

// between returns a random duration, uniform on a logarithmic scale.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return time.Duration(float64(least) * math.Pow(float64(most)/float64(least), r.Float64()))
}

func newScenario(seed uint64) *scenario {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	s := &scenario{
		seed: seed, size: pick(r, 1, 2, 3, 5, 10), backups: r.IntN(3) > 0, attempts: pick(r, 0, 0, 3, 10),
		trouble: between(r, 20*time.Second, 6*time.Minute), payload: 1 << 20, fair: r.IntN(2) == 0, bad: map[int]bool{},
	}
	if s.fair {
		s.attempts = 0
	}
	chunks := 3 + r.IntN(50)
	s.objects = max(1, chunks*s.size-r.IntN(s.size))
	for range r.IntN(4) * r.IntN(2) {
		s.bad[r.IntN(s.objects)] = true
	}
	if r.IntN(6) == 0 { // chunks and results go in parts
		s.payload, s.pad = 2048, 2048/s.size
	}
	s.poison = -1
	if s.payload > 1<<19 && r.IntN(4) == 0 {
		s.poison, s.attempts = r.IntN(s.objects), 10
		delete(s.bad, s.poison)
	}
	workers := 0
	for i := range 2 + r.IntN(5) {
		m := mapperPlan{name: fmt.Sprint("m", i), workers: 1 + r.IntN(3)}
		workers += m.workers
		s.mappers = append(s.mappers, m)
	}
	// Without faults the job would take about as long as the trouble.
	pace := float64(s.trouble) * float64(workers) / float64(chunks) * (0.3 + 2*r.Float64())
	for i := range s.mappers {
		s.mappers[i].duration = min(time.Duration(pace*pick(r, 0.05, 0.5, 1, 1, 1, 3)), 5*time.Minute)
		s.slowest = max(s.slowest, s.mappers[i].duration)
	}
	s.network(r)
	s.accidents(r)
	s.versions(rand.New(rand.NewPCG(seed, 0x7e125)))
	s.hellos(rand.New(rand.NewPCG(seed, 0x4e110)))
	s.sizes(rand.New(rand.NewPCG(seed, 0x512e5)))
	return s
}

// names lists the processes that faults can hit.
func (s *scenario) names() []string {
	names := []string{"saver", "fetcher"}
	for _, m := range s.mappers {
		names = append(names, m.name)
	}
	return names
}

// moment draws a time within the trouble.
func (s *scenario) moment(r *rand.Rand) time.Duration {
	return time.Duration(r.Float64() * float64(s.trouble))
}

func (s *scenario) network(r *rand.Rand) {
	rate := func() float64 { return pick(r, 0, 0, 0.01, 0.05, 0.2, 0.5) }
	for range r.IntN(4) {
		p := phase{from: s.moment(r), Rates: bustest.Rates{
			Drop: rate(), Duplicate: rate(), Delay: rate(), Reorder: rate(), Corrupt: rate(),
			MaxDelay: between(r, 10*time.Millisecond, 4*time.Minute),
		}}
		p.to = p.from + between(r, time.Second, s.trouble)
		if r.IntN(2) == 0 {
			p.verb = pick(r, wire.VerbNext, wire.VerbBeat, wire.VerbSave, wire.VerbSaved, wire.VerbSync, "mapper", "part")
		}
		s.phases = append(s.phases, p)
	}
}

func (s *scenario) accidents(r *rand.Rand) {
	names := s.names()
	span := func() time.Duration { return between(r, 50*time.Millisecond, s.trouble/2) }
	for range r.IntN(16) {
		e := event{at: s.moment(r), who: []string{pick(r, names...)}, span: span()}
		switch e.kind = pick(r, "crash", "crash", "stop", "pause", "pause", "cut", "cut", "away", "second", "usurped", "other", "full", "broken", "doomed"); e.kind {
		case "cut", "usurped":
			e.way = pick(r, "in", "out", "both", "both")
			for _, name := range names {
				if r.IntN(4) == 0 {
					e.who = append(e.who, name)
				}
			}
			if e.kind == "usurped" {
				e.who = []string{"fetcher"}
			}
		case "doomed":
			e.every = between(r, time.Second, time.Minute)
		case "stop": // mappers more often: a stopped fetcher or saver is much like a crashed one
			e.who[0] = pick(r, append(names, s.mappers[0].name, s.mappers[1].name)...)
		case "broken":
			e.span = min(e.span, 10*time.Second)
		}
		s.events = append(s.events, e)
	}
	for range r.IntN(8) {
		s.traps = append(s.traps, trap{
			verb: pick(r, wire.VerbNext, wire.VerbBeat, wire.VerbSave, wire.VerbSaved, wire.VerbSync, "mapper"), reply: r.IntN(2) == 0,
			who: pick(r, names...), sender: r.IntN(2) == 0, nth: 1 + r.IntN(pick(r, 4, 40)), when: pick(r, "before", "at", "after"),
		})
	}
	for range r.IntN(3) * r.IntN(2) {
		s.byzantines = append(s.byzantines, byzantinePlan{at: s.moment(r), span: between(r, time.Second, s.trouble)})
	}
	for range r.IntN(3) {
		s.plagues = append(s.plagues, plague{
			chunk: chunk.ID(r.IntN(3 + s.objects/s.size)), kills: 1 + r.IntN(12), after: between(r, time.Millisecond, 3*time.Second),
		})
	}
}

// hellos draws whether the mappers start before the fetcher, and faults of hellos alone.
func (s *scenario) hellos(r *rand.Rand) {
	s.early = r.IntN(2) == 0
	if r.IntN(2) == 0 {
		s.phases = append(s.phases, phase{to: s.trouble, verb: wire.VerbHello, Rates: bustest.Rates{
			Drop: 0.3, Duplicate: 0.3, Delay: 0.3, Reorder: 0.1, Corrupt: 0.1, MaxDelay: between(r, 10*time.Millisecond, 4*time.Minute),
		}})
	}
}

// sizes draws whether a mapper is so fast that it gets several pieces at a time; slow mappers of
// its version may at first, too. It also draws whether a mapper of protocol 1 asks for work.
func (s *scenario) sizes(r *rand.Rand) {
	if r.IntN(5) == 0 {
		s.mappers[0].duration = between(r, time.Millisecond, 20*time.Millisecond)
	}
	if r.IntN(4) == 0 {
		s.events = append(s.events, event{at: s.moment(r), kind: "protocol 1", who: []string{"old"}})
	}
}

// alone is longer than the slowest mapper takes for the whole job.
func (s *scenario) alone() time.Duration { return time.Duration(s.objects/s.size+1) * s.slowest }

// user is an object of the source: unreadable, or a user with a long name.
func (s *scenario) user(i int) string {
	if s.bad[i] {
		return "{broken"
	}
	return fmt.Sprintf(`{"uuid":"u%d","fn":"f%d%s","ln":"l"}`, i, i, strings.Repeat("x", s.pad))
}

// output is the expected output of an object.
func (s *scenario) output(i int) string {
	return fmt.Sprintf("{\"id\":\"u%d\",\"name\":\"f%d%s l\"}\n", i, i, strings.Repeat("x", s.pad))
}

func (s *scenario) String() string {
	return fmt.Sprintf("%d objects in chunks of %d, pad %d, payload %d, bad %v, poison %d, mappers %v, early %v, backups %v, attempts %d, fair %v, trouble %s\nphases %+v\nevents %+v\ntraps %+v\nplagues %+v\nbyzantines %+v\nreleases %+v, break at %g for %s\nstrikes %s",
		s.objects, s.size, s.pad, s.payload, s.bad, s.poison, s.mappers, s.early, s.backups, s.attempts, s.fair, s.trouble, s.phases, s.events, s.traps, s.plagues, s.byzantines, s.releases, s.breakAt, s.breakFor, s.strikes)
}
