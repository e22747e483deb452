package sim

import (
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
)

// faults decides the fate of each packet, and which processes it kills.
//
// A packet's fate follows from the seed, its verb, its sender and receiver, and how many of its
// kind came before, not from one random sequence that all packets share. So when goroutines of the
// same moment run in another order, which cannot be prevented, the fates of later packets do not
// change.
//
// A paused process cannot be simulated by stopping it, because a bubble has only one clock. Instead
// all packets from and to it are held, and delivered in order at the end of the pause. Its timers
// run meanwhile, so it behaves like a process that was cut off without losing packets. Tests with
// real processes cover real pauses.
type faults struct {
	s       *scenario
	over    bool            // no more faults
	numbers map[kind]uint64 // packets so far
	cuts    []*event
	trapped []int // packets that each trap has seen
	plagued []int // deaths of each plague
}

type kind struct {
	verb, from, to string
	reply          bool
}

// victim is a process that dies, now or a little later.
type victim struct {
	name  string
	after time.Duration
	why   string
}

// poisons returns the process that touches the poisonous object now, or will unless it is ordered
// not to. A mapper whose announcement no fetcher hears dies when it would save the chunk.
func (s *scenario) poisons(p bustest.Packet) (victims []victim, drop bool) {
	if s.poison < 0 {
		return nil, false
	}
	if announces(p, chunk.ID(s.poison/s.size), s.poison%s.size) {
		return []victim{{name: p.From, why: "poison"}}, false // NATS has the announcement
	}
	for _, r := range resultsOf(p) {
		if i := s.poison - int(r.First); i >= 0 && i < r.Objects && r.Counts[i] > 0 {
			return []victim{{name: p.From, why: "poison"}}, true
		}
	}
	if g := handsOut(p, s.poison); g != nil && !g.Careful {
		if i := slices.IndexFunc(s.mappers, func(m mapperPlan) bool { return m.name == p.To }); i >= 0 { // a Byzantine mapper touches nothing
			return []victim{{name: p.To, why: "poison", after: s.mappers[i].duration / 2}}, false
		}
	}
	return nil, false
}

// announces reports whether a mapper announces that it is about to touch an object. The index after
// the last object of its piece, which may be that of the next piece's first one, means that the
// piece is mapped.
func announces(p bustest.Packet, id chunk.ID, index int) bool {
	b, err := wire.DecodeBeat(p.Message)
	return isAnnouncement(p) && err == nil && *b.Doing == (wire.Doing{Chunk: id, Index: index}) &&
		slices.ContainsFunc(b.Held, func(held chunk.Piece) bool { return held.Chunk == id && held.Has(index) })
}

func newFaults(s *scenario) faults {
	return faults{s: s, numbers: map[kind]uint64{}, trapped: make([]int, len(s.traps)), plagued: make([]int, len(s.plagues))}
}

// kindOf returns the kind of a packet, without IDs, which differ from run to run.
func kindOf(p bustest.Packet) kind {
	verb, _, _ := strings.Cut(verbOf(p), ".")
	return kind{verb: verb, from: p.From, to: p.To, reply: p.Reply}
}

// dice returns the random source of one packet, or of another named decision.
func (s *scenario) dice(number uint64, names ...string) *rand.Rand {
	h := fnv.New64a()
	for _, name := range append(names, strconv.FormatUint(number, 10)) {
		_, _ = io.WriteString(h, name+"\x00")
	}
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// cut drops the packets that a cut concerns until stop is called.
func (fs *faults) cut(e event) (stop func()) {
	fs.cuts = append(fs.cuts, &e)
	return func() { fs.cuts = slices.DeleteFunc(fs.cuts, func(o *event) bool { return o == &e }) }
}

// restart draws how long a process that has ended stays down.
func (fs *faults) restart(p *process) time.Duration {
	r := fs.s.dice(uint64(p.starts), "restart", p.name)
	return pick(r, 0, 300*time.Millisecond, time.Second, between(r, time.Second, time.Minute))
}

// decide returns a packet's fate, and its victims, at a time since the beginning.
func (fs *faults) decide(p bustest.Packet, now time.Duration) (fate bustest.Fate, victims []victim) {
	if fs.over {
		return bustest.Fate{}, nil
	}
	k := kindOf(p)
	number := fs.numbers[k]
	fs.numbers[k]++
	for _, c := range fs.cuts {
		if c.way != "in" && slices.Contains(c.who, p.From) || c.way != "out" && slices.Contains(c.who, p.To) {
			fate.Drop = true
		}
	}
	if fs.s.fair && isAnnouncement(p) {
		return fate, nil
	}
	for _, s := range fs.s.strikes {
		if s.kind == k && s.number == number {
			f, v := s.fate()
			fate, victims = worse(fate, f), append(victims, v...)
		}
	}
	for i, t := range fs.s.traps {
		if fs.springs(i, t, k) {
			v := victim{name: who(k, t.sender), why: "trap"}
			switch {
			case t.when == "after": // after all that follows at this moment
				v.after = 1
			case t.when == "before" && t.sender:
				fate.Drop = true
			}
			victims = append(victims, v)
		}
	}
	for i, g := range fs.s.plagues {
		if fs.plagued[i] < g.kills && slices.ContainsFunc(grantOf(p), func(granted wire.Granted) bool { return granted.Chunk.ID == g.chunk }) {
			fs.plagued[i]++
			victims = append(victims, victim{name: p.To, after: g.after, why: "plague"})
		}
	}
	for i, f := range fs.s.phases {
		if now >= f.from && now < f.to && (f.verb == "" || f.verb == k.verb) {
			fate = worse(fate, f.fate(fs.s.dice(number, strconv.Itoa(i), k.verb, k.from, k.to, strconv.FormatBool(k.reply))))
		}
	}
	return fate, victims
}

// who returns the sender of a packet, or its receiver.
func who(k kind, sender bool) string {
	if sender {
		return k.from
	}
	return k.to
}

// springs counts the packets of a trap, and reports whether this one springs it.
func (fs *faults) springs(i int, t trap, k kind) bool {
	who := who(k, t.sender)
	if t.who == "fetcher" && strings.HasPrefix(who, "f") {
		who = "fetcher"
	}
	if k.verb != t.verb || k.reply != t.reply || who != t.who {
		return false
	}
	fs.trapped[i]++
	return fs.trapped[i] == t.nth
}

// fate draws the fate of one packet.
func (f phase) fate(r *rand.Rand) bustest.Fate {
	fate := bustest.Fate{
		Drop: r.Float64() < f.Drop, Reorder: r.Float64() < f.Reorder, Corrupt: r.Float64() < f.Corrupt,
	}
	if r.Float64() < f.Duplicate {
		fate.Copies = 1 + r.IntN(2)
	}
	if r.Float64() < f.Delay {
		fate.Delay = between(r, time.Millisecond, f.MaxDelay)
	}
	return fate
}

// worse combines two fates.
func worse(a, b bustest.Fate) bustest.Fate {
	return bustest.Fate{
		Drop: a.Drop || b.Drop, Copies: a.Copies + b.Copies, Delay: max(a.Delay, b.Delay),
		Reorder: a.Reorder || b.Reorder, Corrupt: a.Corrupt || b.Corrupt,
	}
}

func isAnnouncement(p bustest.Packet) bool {
	_, is := p.Header["Chunkline-Doing"]
	return is
}
