package ledger

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
)

var testConfig = Config{SuspectAfter: 2 * time.Second, GoneAfter: 3 * time.Second, CarefulAfter: 2, MaxAttempts: 10, Speculate: true}

// TestAnyHistory does anything in any order. Afterwards, when all mappers work and all
// messages arrive, every chunk must be saved.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := testConfig
		cfg.MaxAttempts = rapid.SampledFrom([]int{0, 1, 3, 10}).Draw(t, "MaxAttempts")
		cfg.Speculate = rapid.Bool().Draw(t, "Speculate")
		w := newWorld(t, cfg, rapid.IntRange(1, 40).Draw(t, "chunks"), 3)
		if cfg.MaxAttempts > 0 { // without a limit it takes a proven mapper, and there may be none
			w.drawPoison(t)
		}
		w.spawn(2, false)
		var late []Report // of any mapper, gone or not
		some := func(t *rapid.T) *node { return rapid.SampledFrom(w.nodes).Draw(t, "mapper") }
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { w.check() },
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(t, "chunks") {
					w.add()
				}
			},
			"spawn": func(t *rapid.T) {
				if len(w.nodes) < 12 {
					w.spawn(rapid.IntRange(1, 4).Draw(t, "workers"), false)
				}
			},
			"beat":    func(t *rapid.T) { w.beat(some(t)) },
			"ask":     func(t *rapid.T) { w.ask(some(t)) },
			"give up": func(t *rapid.T) { w.giveUp(some(t)) },
			"serve":   func(t *rapid.T) { w.serve(rapid.IntRange(0, 4).Draw(t, "lost") > 0) },
			"work":    func(t *rapid.T) { w.step(some(t), rapid.IntRange(0, 3).Draw(t, "worker")) },
			"chunk": func(t *rapid.T) {
				for n := some(t); len(n.work) > 0 && !n.dead; {
					w.step(n, 0)
				}
			},
			"confirm": func(t *rapid.T) { w.tell(rapid.Bool().Draw(t, "again")) },
			"unconfirmed": func(*rapid.T) { // but the fetcher repeats its own results until they are confirmed
				w.confirmations = slices.DeleteFunc(w.confirmations, func(c confirmation) bool { return c.by != "fetcher" })
			},
			"ask the sink": func(*rapid.T) { w.askSink() },
			"saveDead":     func(*rapid.T) { w.saveDead() },
			"die":          func(t *rapid.T) { some(t).dead = true },
			"cut off":      func(t *rapid.T) { some(t).away = true },
			"back":         func(t *rapid.T) { some(t).away = false },
			"no answer":    func(t *rapid.T) { w.unanswered(some(t)) },
			"goodbye":      func(t *rapid.T) { w.goodbye(some(t)) },
			"exclude": func(t *rapid.T) { // any but the first, so that the job goes on
				if n := some(t); n != w.nodes[0] {
					n.excluded = !n.excluded
					w.ledger.Exclude(n.id, n.excluded)
				}
			},
			"forgive":       func(*rapid.T) { w.ledger.Forgive(w.now) },
			"alive":         func(t *rapid.T) { w.ledger.Alive(w.now, some(t).id) },
			"pass":          func(t *rapid.T) { w.pass(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond) },
			"restart":       func(*rapid.T) { w.restart(cfg) },
			"keep a report": func(t *rapid.T) { late = append(late, some(t).report()) },
			"late report": func(t *rapid.T) {
				if len(late) > 0 {
					r := rapid.SampledFrom(late).Draw(t, "report")
					for _, n := range w.nodes {
						if n.id == r.Mapper {
							w.hear(n, r)
						}
					}
				}
			},
			"early report": func(t *rapid.T) { // with a time before that of earlier reports
				n, now := some(t), w.now
				w.now = w.now.Add(-time.Second)
				w.beat(n)
				w.now = now
			},
		})
		w.finish(3000)
	})
}

// drawPoison makes up to three objects poison.
func (w *world) drawPoison(t *rapid.T) {
	for range rapid.IntRange(0, 3).Draw(t, "poison") {
		id := chunk.ID(rapid.IntRange(0, w.chunks-1).Draw(t, "of chunk"))
		if w.poison[id] == nil {
			w.poison[id] = map[int]bool{}
		}
		w.poison[id][rapid.IntRange(0, w.size(id)-1).Draw(t, "object")] = true
	}
}

// TestOnlyPoisonIsSkipped: mappers with many workers crash only on poison. No other
// object is skipped, every chunk is saved, and the number of mappers lost is bounded.
// One mapper may pause for so long that it is declared dead.
func TestOnlyPoisonIsSkipped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, testConfig, rapid.IntRange(1, 30).Draw(t, "chunks"), 4)
		w.strict = true
		w.drawPoison(t)
		for range rapid.IntRange(1, 4).Draw(t, "mappers") {
			w.spawn(rapid.IntRange(1, 6).Draw(t, "workers"), false)
		}
		pauses := rapid.Bool().Draw(t, "pauses")
		w.run(t, pauses)
		poison := 0
		for _, objects := range w.poison {
			poison += len(objects)
		}
		tally := w.ledger.Counts().Tally
		if tally.Died > 0 || int(tally.Skipped) > poison {
			t.Fatalf("%d objects were skipped and %d pieces became dead, want at most %d and none", tally.Skipped, tally.Died, poison)
		}
		// A piece crashes CarefulAfter mappers, and one more with a backup attempt; an
		// object at most MaxAttempts, if no mapper is proven.
		limit := poison*(testConfig.CarefulAfter+1) + poison*testConfig.MaxAttempts
		if !pauses && w.deaths > limit {
			t.Fatalf("%d poison objects in %d chunks crashed %d mappers, want at most %d", poison, len(w.poison), w.deaths, limit)
		}
	})
}

// TestPoisonCostsFourMappers: while there are proven mappers, an object that crashes its mapper does so
// CarefulAfter + 2 times, however large the grants are and however pieces are cut.
func TestPoisonCostsFourMappers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := testConfig
		cfg.Speculate = false // a backup attempt may cost one more
		w := newWorld(t, cfg, rapid.IntRange(1, 12).Draw(t, "chunks"), rapid.IntRange(2, 8).Draw(t, "objects"))
		w.strict = true
		id := chunk.ID(rapid.IntRange(0, w.chunks-1).Draw(t, "poison"))
		w.poison[id] = map[int]bool{rapid.IntRange(0, w.size(id)-1).Draw(t, "object"): true}
		for range 2 * (cfg.CarefulAfter + 2) {
			n := w.spawn(rapid.IntRange(1, 4).Draw(t, "workers"), false)
			w.beat(n)
			w.ledger.credit(n.id)
		}
		w.finish(1000)
		if tally := w.ledger.Counts().Tally; w.deaths != cfg.CarefulAfter+2 || tally.Skipped != 1 || tally.Died > 0 {
			t.Fatalf("one object crashed %d mappers, %d objects were skipped, %d pieces became dead; want %d, 1 and 0",
				w.deaths, tally.Skipped, tally.Died, cfg.CarefulAfter+2)
		}
	})
}

// TestBrokenMapperSkipsNoObject: a mapper that crashes on every piece, and is restarted,
// causes no dead letters while at least one other mapper works.
func TestBrokenMapperSkipsNoObject(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := testConfig
		cfg.MaxAttempts = rapid.SampledFrom([]int{0, 3, 10}).Draw(t, "MaxAttempts")
		w := newWorld(t, cfg, rapid.IntRange(1, 30).Draw(t, "chunks"), 4)
		w.strict = true
		for range rapid.IntRange(1, 3).Draw(t, "mappers") {
			w.spawn(rapid.IntRange(1, 4).Draw(t, "workers"), false)
		}
		w.spawn(1, true)
		w.run(t, false)
		if tally := w.ledger.Counts().Tally; tally.Skipped > 0 || tally.Died > 0 {
			t.Fatalf("with a broken mapper %d objects were skipped and %d pieces became dead, want none", tally.Skipped, tally.Died)
		}
	})
}

// run runs mappers at random speeds. They ask for work whenever a worker is free, and
// are replaced after a crash.
func (w *world) run(t *rapid.T, pauses bool) {
	some := func(t *rapid.T) int { return rapid.IntRange(0, len(w.nodes)-1).Draw(t, "mapper") }
	t.Repeat(map[string]func(*rapid.T){
		"": func(*rapid.T) {
			for _, n := range w.nodes {
				for range n.workers {
					w.ask(n)
				}
			}
			for w.serve(true) {
				w.check()
			}
			w.check()
		},
		"add":  func(*rapid.T) { w.add() },
		"work": func(t *rapid.T) { w.step(w.nodes[some(t)], rapid.IntRange(0, 5).Draw(t, "worker")) },
		"replace": func(t *rapid.T) {
			i := some(t)
			if n := w.nodes[i]; n.dead {
				w.unanswered(n)
				w.names++
				w.nodes[i] = &node{id: n.id + "'", workers: n.workers, broken: n.broken}
			}
		},
		"confirm":      func(*rapid.T) { w.tell(false) },
		"ask the sink": func(*rapid.T) { w.askSink() },
		"pause": func(*rapid.T) {
			if n := w.nodes[0]; pauses && !n.dead {
				n.away = true
				w.unanswered(n)
				n.away = false
			}
		},
		"beats": func(*rapid.T) {
			for _, n := range w.nodes {
				w.beat(n)
			}
			w.pass(100 * time.Millisecond)
		},
	})
	w.finish(1000)
}
