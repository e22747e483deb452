package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
)

var pairs = flag.Int("pairs", 2000, "how many pairs of strikes TestEverywhere plays; 0: all there are")

// strike is what befalls one message of a job: the number-th of its kind.
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

// fate is what happens to the message, and to whom else.
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

// small is a job of 3 chunks for 2 mappers, in which these strikes happen.
func small(strikes ...strike) *scenario {
	const work = 700 * time.Millisecond
	return &scenario{
		objects: 5, size: 2, payload: 1 << 20, poison: -1, trouble: 10 * time.Minute, slowest: work, fair: true,
		mappers: []mapperPlan{{"m0", 1, work}, {"m1", 1, work}}, backups: true, strikes: strikes,
	}
}

// playSmall returns which messages there were until the job ended.
func playSmall(t *testing.T, strikes ...strike) (seen map[kind]uint64) {
	t.Helper()
	play(t, small(strikes...), fmt.Sprint(strikes), func(c *crew) { seen = c.sky.numbers })
	return seen
}

// everywhere lists each harm to each of some messages.
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

// In a job of 3 chunks and 2 mappers, whatever single message is lost, doubled,
// late or damaged, and whoever dies of it: the job ends, complete. So does it
// with a second harm to any message of what follows from the first; those pairs
// are drawn at random unless -pairs 0 asks for all.
func TestEverywhere(t *testing.T) {
	first := everywhere(playSmall(t))
	after := make([][]strike, len(first))
	t.Run("one", func(t *testing.T) {
		for i, s := range first {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				after[i] = everywhere(playSmall(t, s))
			})
		}
	})
	var both [][2]strike
	for i, s := range first {
		for _, o := range after[i] {
			both = append(both, [2]strike{s, o})
		}
	}
	t.Logf("%d strikes, %d pairs", len(first), len(both))
	if *pairs > 0 {
		dice := rand.New(rand.NewPCG(*firstSeed, 0))
		dice.Shuffle(len(both), func(i, j int) { both[i], both[j] = both[j], both[i] })
		both = both[:min(*pairs, len(both))]
	}
	t.Run("two", func(t *testing.T) {
		for _, s := range both {
			t.Run(s[0].String()+"; "+s[1].String(), func(t *testing.T) {
				t.Parallel()
				playSmall(t, s[0], s[1])
			})
		}
	})
}
