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

// scenario is a job and all that is to go wrong with it. It follows from the
// seed alone.
type scenario struct {
	seed     uint64
	objects  int
	size     int // objects of a chunk
	payload  int // most bytes of a message
	pad      int // bytes more in each object, and in each output
	bad      map[int]bool
	poison   int // an object that kills whoever touches it, for ever; -1: none
	mappers  []mapperPlan
	early    bool          // they are there before the fetcher, and hear its first hello
	slowest  time.Duration // for a piece, of the mappers
	backups  bool
	attempts int // MAX_ATTEMPTS

	// fair: no fault meets an announcement of careful mode by itself. An
	// object that nobody announced, or that was announced together with the
	// next one, cannot be blamed for a death; so in a fair world only the
	// unreadable objects may be dead in the end, and chunks that took down as
	// many mappers as MAX_ATTEMPTS before an object was announced: a world with
	// a poisonous object has that limit (see the ledger's doc). In the others two
	// mappers that vanish with one announced object have it skipped, as they should.
	fair bool

	trouble time.Duration // then everything is healed
	phases  []phase
	events  []event
	traps   []trap
	plagues []plague
	liars   []liarPlan
	strikes []strike

	releases []release // versions of mappers beside v1
	breakAt  float64   // BREAK_AT
	breakFor time.Duration
}

type mapperPlan struct {
	name     string
	workers  int
	duration time.Duration // of a piece
	version  string        // empty: v1
}

// phase is a time in which the network is bad.
type phase struct {
	from, to time.Duration
	verb     string // only this one; "": all
	bustest.Rates
}

// event is something that happens at a moment.
type event struct {
	at   time.Duration
	kind string // see crew.happen
	who  []string
	span time.Duration
	way  string // of a cut: in, out or both

	order wire.Control // what the operator wants; of a redo: the version

	every time.Duration // of who is doomed: between crashes
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

// plague kills whoever gets a chunk, some times.
type plague struct {
	chunk chunk.ID
	kills int
	after time.Duration
}

// pick returns one of some.
func pick[T any](r *rand.Rand, some ...T) T { return some[r.IntN(len(some))] }

// between returns a duration, the short ones as likely as the long ones.
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
	// The job takes about as long as the trouble, were it not for that.
	pace := float64(s.trouble) * float64(workers) / float64(chunks) * (0.3 + 2*r.Float64())
	for i := range s.mappers {
		duration := min(time.Duration(pace*pick(r, 0.05, 0.5, 1, 1, 1, 3)), 5*time.Minute)
		if duration > 5*time.Second { // such a chunk is cut into its objects
			duration /= time.Duration(s.size)
		}
		s.mappers[i].duration = duration
		s.slowest = max(s.slowest, s.mappers[i].duration)
	}
	s.network(r)
	s.accidents(r)
	s.versions(rand.New(rand.NewPCG(seed, 0x7e125)))
	s.hellos(rand.New(rand.NewPCG(seed, 0x4e110)))
	s.sizes(rand.New(rand.NewPCG(seed, 0x512e5)))
	return s
}

// names lists who can be struck.
func (s *scenario) names() []string {
	names := []string{"saver", "fetcher"}
	for _, m := range s.mappers {
		names = append(names, m.name)
	}
	return names
}

// moment is some time of the trouble.
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
		case "stop": // a fetcher and a saver that are stopped are like crashed ones, but polite
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
		s.liars = append(s.liars, liarPlan{at: s.moment(r), span: between(r, time.Second, s.trouble)})
	}
	for range r.IntN(3) {
		s.plagues = append(s.plagues, plague{
			chunk: chunk.ID(r.IntN(3 + s.objects/s.size)), kills: 1 + r.IntN(12), after: between(r, time.Millisecond, 3*time.Second),
		})
	}
}

// hellos draws whether mappers wait for the fetcher, and what befalls hellos alone.
func (s *scenario) hellos(r *rand.Rand) {
	s.early = r.IntN(2) == 0
	if r.IntN(2) == 0 {
		s.phases = append(s.phases, phase{to: s.trouble, verb: wire.VerbHello, Rates: bustest.Rates{
			Drop: 0.3, Duplicate: 0.3, Delay: 0.3, Reorder: 0.1, Corrupt: 0.1, MaxDelay: between(r, 10*time.Millisecond, 4*time.Minute),
		}})
	}
}

// sizes draws a mapper that is so quick that it gets several pieces at a time, and so may, at first, those of its version
// that are slow. It also draws whether a mapper of protocol 1 asks for work.
func (s *scenario) sizes(r *rand.Rand) {
	if r.IntN(5) == 0 {
		s.mappers[0].duration = between(r, time.Millisecond, 20*time.Millisecond)
	}
	if r.IntN(4) == 0 {
		s.events = append(s.events, event{at: s.moment(r), kind: "protocol 1", who: []string{"old"}})
	}
}

// alone is longer than even one mapper, the slowest, takes for all objects.
func (s *scenario) alone() time.Duration { return time.Duration(s.objects+1) * s.slowest }

// user is an object of the source: unreadable, or a user with a long name.
func (s *scenario) user(i int) string {
	if s.bad[i] {
		return "{broken"
	}
	return fmt.Sprintf(`{"uuid":"u%d","fn":"f%d%s","ln":"l"}`, i, i, strings.Repeat("x", s.pad))
}

// output is what must come of it.
func (s *scenario) output(i int) string {
	return fmt.Sprintf("{\"id\":\"u%d\",\"name\":\"f%d%s l\"}\n", i, i, strings.Repeat("x", s.pad))
}

func (s *scenario) String() string {
	return fmt.Sprintf("%d objects in chunks of %d, pad %d, payload %d, bad %v, poison %d, mappers %v, early %v, backups %v, attempts %d, fair %v, trouble %s\nphases %+v\nevents %+v\ntraps %+v\nplagues %+v\nliars %+v\nreleases %+v, break at %g for %s\nstrikes %s",
		s.objects, s.size, s.pad, s.payload, s.bad, s.poison, s.mappers, s.early, s.backups, s.attempts, s.fair, s.trouble, s.phases, s.events, s.traps, s.plagues, s.liars, s.releases, s.breakAt, s.breakFor, s.strikes)
}
