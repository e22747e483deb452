package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/wire"
)

var (
	single = flag.Int("single", 180, "how many single strikes TestEverywhere plays, a third of them in each of its jobs; 0: all there are")
	pairs  = flag.Int("pairs", 60, "how many pairs of strikes TestEverywhere plays likewise, each of a single strike that it has played and one that was possible then; 0: all there are")
)

// strike is a fault of one message of a job: the number-th of its kind.
type strike struct {
	kind
	number uint64
	what   harm
}

func (s strike) String() string {
	answer := ""
	if s.reply {
		answer = " answer"
	}
	return fmt.Sprintf("%s%s %d from %s to %s: %s", s.verb, answer, s.number, s.from, s.to, s.what)
}

type harm string

const (
	lost         harm = "lost"
	doubled      harm = "doubled"
	late         harm = "3 s late"
	veryLate     harm = "100 s late"
	damaged      harm = "damaged"
	senderDies   harm = "sender dies before"
	senderSent   harm = "sender dies after"
	receiverDies harm = "receiver dies"
)

var harms = []harm{lost, doubled, late, veryLate, damaged, senderDies, senderSent, receiverDies}

// fate returns the fate of the message, and the processes that die.
func (s strike) fate() (fate bustest.Fate, victims []victim) {
	switch s.what {
	case lost:
		fate.Drop = true
	case doubled:
		fate.Copies = 1
	case late:
		fate.Delay = 3 * time.Second
	case veryLate:
		fate.Delay = 100 * time.Second
	case damaged:
		fate.Corrupt = true
	case senderDies:
		fate.Drop, victims = true, []victim{{name: s.from, why: string(s.what)}}
	case senderSent:
		victims = []victim{{name: s.from, why: string(s.what), after: 1}}
	case receiverDies:
		victims = []victim{{name: s.to, why: string(s.what), after: 1}}
	}
	return fate, victims
}

// small returns a job of 3 chunks for 2 mappers, with these strikes. Each object is a piece.
func small(strikes ...strike) *scenario {
	const work = 700 * time.Millisecond
	return &scenario{
		objects: 5, size: 2, payload: 1 << 20, poison: -1, trouble: 10 * time.Minute, slowest: work, fair: true,
		mappers: []mapperPlan{{"m0", 1, work, ""}, {"m1", 1, work, ""}}, early: true, backups: true, strikes: strikes,
	}
}

// shadowed returns small with a shadowing mapper whose outputs are wrong, and with requests of the
// live page and an operator.
func shadowed(strikes ...strike) *scenario {
	s := small(strikes...)
	s.mappers = append(s.mappers, mapperPlan{"m2", 1, 100 * time.Millisecond, "v2"})
	s.releases = []release{{name: "v2", share: 1, shadows: 1, program: wrongOutputs}, {name: "v3", share: 1, ordered: true}}
	s.events = []event{
		{at: 300 * time.Millisecond, kind: "order", who: []string{"operator"}, order: wire.Control{Action: wire.ControlShare, Version: "v3", Share: 0.5}},
		{at: 900 * time.Millisecond, kind: "look", who: []string{"fetcher"}},
	}
	return s
}

// quick returns a job of 5 chunks that are mapped fast: after its first object a mapper gets
// several pieces at a time.
func quick(strikes ...strike) *scenario {
	const work = 5 * time.Millisecond
	s := small(strikes...)
	s.objects, s.slowest = 9, work
	s.mappers = []mapperPlan{{"m0", 1, work, ""}, {"m1", 1, work, ""}}
	return s
}

// playSmall plays a job and returns how many messages of each kind there were.
func playSmall(t *testing.T, s *scenario) (seen map[kind]uint64) {
	t.Helper()
	play(t, s, fmt.Sprint(s.strikes), func(c *cluster) { seen = c.faults.numbers })
	return seen
}

// everywhere lists every harm to every message of seen.
func everywhere(seen map[kind]uint64) (all []strike) {
	for k, n := range seen {
		for number := range n {
			for _, h := range harms {
				all = append(all, strike{k, number, h})
			}
		}
	}
	slices.SortFunc(all, func(a, b strike) int { return compareText(a.String(), b.String()) })
	return all
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// A small job completes whichever single message is lost, doubled, late or damaged, or kills its
// sender or receiver. It also completes with a second harm to any message of the run that results
// from the first. The strikes and the pairs are drawn at random; -single 0 and -pairs 0 play all of them.
func TestEverywhere(t *testing.T) {
	t.Run("job", func(t *testing.T) { strikeEverywhere(t, small) })
	t.Run("quick", func(t *testing.T) { strikeEverywhere(t, quick) })
	t.Run("shadowed", func(t *testing.T) { strikeEverywhere(t, shadowed) })
}

func strikeEverywhere(t *testing.T, job func(...strike) *scenario) {
	dice := rand.New(rand.NewPCG(1, *firstSeed))
	all := everywhere(playSmall(t, job()))
	first := draw(dice, all, *single)
	after := make([][]strike, len(first))
	t.Run("one", func(t *testing.T) {
		for i, s := range first {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				after[i] = everywhere(playSmall(t, job(s)))
			})
		}
	})
	var both [][2]strike
	for i, s := range first {
		for _, o := range after[i] {
			both = append(both, [2]strike{s, o})
		}
	}
	t.Logf("%d of %d strikes, %d pairs", len(first), len(all), len(both))
	both = draw(dice, both, *pairs)
	t.Run("two", func(t *testing.T) {
		for _, s := range both {
			t.Run(s[0].String()+"; "+s[1].String(), func(t *testing.T) {
				t.Parallel()
				playSmall(t, job(s[0], s[1]))
			})
		}
	})
}

// draw returns a third of n of all, drawn at random; all of them if n is 0.
func draw[S any](dice *rand.Rand, all []S, n int) []S {
	if n == 0 {
		return all
	}
	dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n/3, len(all))]
}
