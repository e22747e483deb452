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

// weather decides what becomes of each packet, and who dies of it.
//
// A packet's fate follows from the seed, its verb, who sends it to whom, and
// how many of its kind there were before: not from one row of dice that all
// packets share. So goroutines that run at the same moment in another order,
// which nobody can prevent, do not change the fates of all that comes later.
//
// A process that is paused cannot be modelled by stopping it: in one bubble
// there is one clock. Instead all packets from and to it are kept, and
// delivered in order at the end of the pause. Its timers run meanwhile, so what
// it does at the end is what a process would do that was cut off and whose
// packets were not lost. The real thing is tested with real processes.
type weather struct {
	s       *scenario
	calm    bool
	numbers map[kind]uint64 // packets so far
	cuts    []*event
	trapped []int // packets that each trap has seen
	plagued []int // deaths of each plague
}

type kind struct {
	verb, from, to string
	reply          bool
}

// victim is who dies, now or a little later.
type victim struct {
	name  string
	after time.Duration
	why   string
}

// poisons says who touches the poisonous object now, or will if nobody tells
// it not to. A mapper that announces it while no fetcher is there to hear dies when it
// would save the chunk.
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
		if i := slices.IndexFunc(s.mappers, func(m mapperPlan) bool { return m.name == p.To }); i >= 0 { // a liar touches nothing
			return []victim{{name: p.To, why: "poison", after: s.mappers[i].duration / 2}}, false
		}
	}
	return nil, false
}

// announces says whether a mapper announces that it is about to touch an object. With the index after the last object of
// its piece, which may be that of the next piece's first one, it says that it has mapped all.
func announces(p bustest.Packet, id chunk.ID, index int) bool {
	b, err := wire.DecodeBeat(p.Message)
	return isAnnouncement(p) && err == nil && *b.Doing == (wire.Doing{Chunk: id, Index: index}) &&
		slices.ContainsFunc(b.Held, func(held chunk.Piece) bool { return held.Chunk == id && held.Has(index) })
}

func newWeather(s *scenario) weather {
	return weather{s: s, numbers: map[kind]uint64{}, trapped: make([]int, len(s.traps)), plagued: make([]int, len(s.plagues))}
}

// kindOf leaves out what is made up anew in each run: IDs.
func kindOf(p bustest.Packet) kind {
	verb, _, _ := strings.Cut(verbOf(p), ".")
	return kind{verb: verb, from: p.From, to: p.To, reply: p.Reply}
}

// dice are those of one packet, or of whatever else is named.
func (s *scenario) dice(number uint64, names ...string) *rand.Rand {
	h := fnv.New64a()
	for _, name := range append(names, strconv.FormatUint(number, 10)) {
		_, _ = io.WriteString(h, name+"\x00")
	}
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// cut lets nothing through from or to some until stop is called.
func (n *weather) cut(e event) (stop func()) {
	n.cuts = append(n.cuts, &e)
	return func() { n.cuts = slices.DeleteFunc(n.cuts, func(o *event) bool { return o == &e }) }
}

// restart is how long a process is away that has ended.
func (n *weather) restart(p *process) time.Duration {
	r := n.s.dice(uint64(p.starts), "restart", p.name)
	return pick(r, 0, 300*time.Millisecond, time.Second, between(r, time.Second, time.Minute))
}

// decide decides a packet's fate at a time since the beginning.
func (n *weather) decide(p bustest.Packet, now time.Duration) (fate bustest.Fate, victims []victim) {
	if n.calm {
		return bustest.Fate{}, nil
	}
	k := kindOf(p)
	number := n.numbers[k]
	n.numbers[k]++
	for _, c := range n.cuts {
		if c.way != "in" && slices.Contains(c.who, p.From) || c.way != "out" && slices.Contains(c.who, p.To) {
			fate.Drop = true
		}
	}
	if n.s.fair && isAnnouncement(p) {
		return fate, nil
	}
	for _, s := range n.s.strikes {
		if s.kind == k && s.number == number {
			f, v := s.fate()
			fate, victims = worse(fate, f), append(victims, v...)
		}
	}
	for i, t := range n.s.traps {
		if n.springs(i, t, k) {
			v := victim{name: who(k, t.sender), why: "trap"}
			switch {
			case t.when == "after": // when all that follows at this moment has
				v.after = 1
			case t.when == "before" && t.sender:
				fate.Drop = true
			}
			victims = append(victims, v)
		}
	}
	for i, g := range n.s.plagues {
		if n.plagued[i] < g.kills && slices.ContainsFunc(grantOf(p), func(granted wire.Granted) bool { return granted.Chunk.ID == g.chunk }) {
			n.plagued[i]++
			victims = append(victims, victim{name: p.To, after: g.after, why: "plague"})
		}
	}
	for i, f := range n.s.phases {
		if now >= f.from && now < f.to && (f.verb == "" || f.verb == k.verb) {
			fate = worse(fate, f.fate(n.s.dice(number, strconv.Itoa(i), k.verb, k.from, k.to, strconv.FormatBool(k.reply))))
		}
	}
	return fate, victims
}

// who is the sender of a packet, or its receiver.
func who(k kind, sender bool) string {
	if sender {
		return k.from
	}
	return k.to
}

// springs counts the packets of a trap.
func (n *weather) springs(i int, t trap, k kind) bool {
	who := who(k, t.sender)
	if t.who == "fetcher" && strings.HasPrefix(who, "f") {
		who = "fetcher"
	}
	if k.verb != t.verb || k.reply != t.reply || who != t.who {
		return false
	}
	n.trapped[i]++
	return n.trapped[i] == t.nth
}

// fate rolls the dice of one packet.
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

// worse adds one fate to another.
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
