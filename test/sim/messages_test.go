package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// first applies fate to the first n packets that match, and to no others.
func first(n int, match func(bustest.Packet) bool, fate bustest.Fate) func(bustest.Packet) bustest.Fate {
	return func(p bustest.Packet) bustest.Fate {
		if n > 0 && match(p) {
			n--
			return fate
		}
		return bustest.Fate{}
	}
}

func isWork(p bustest.Packet) bool { return len(grantOf(p)) > 0 }

// A chunk whose grant was lost is handed out again as soon as the mapper stops waiting for it, as
// the same attempt.
func TestLostHandOut(t *testing.T) {
	for name, fate := range map[string]bustest.Fate{"lost": {Drop: true}, "damaged": {Corrupt: true}} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, 1, func(t *testing.T, w *world) {
				w.tape.faults(first(1, isWork, fate))
				w.saver("saver")
				f := w.fetcher("fetcher", nil)
				w.mapper("a", "users", nil)
				if err := f.within(time.Minute); err != nil {
					t.Fatal(err)
				}
				h := w.tape.handed(0)
				if len(h) != 2 || h[0].Attempt != 1 || h[1].Attempt != 1 {
					t.Fatalf("handed out %+v, want the first attempt twice", h)
				}
				// The mapper waits 6 s for an answer; then its list shows that it does not hold the chunk.
				if took := h[1].at.Sub(h[0].at); took > 7*time.Second {
					t.Errorf("handed out again after %s, want 7s at most", took)
				}
				w.sentOnce(2)
				w.complete(2)
			})
		})
	}
}

// The answer to a result is lost. The next heartbeat shows the fetcher that the mapper holds a
// saved chunk, and the fetcher orders it to drop the chunk. If the order is lost too, the mapper
// sends the result again; it counts once.
func TestLostSaveAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		dropsLost  bool
		sent       int
		duplicates uint64
	}{
		"ordered to drop it": {false, 2, 0},
		"sent again":         {true, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, 1, func(t *testing.T, w *world) {
				lose := first(1, func(p bustest.Packet) bool { return verbOf(p) == wire.VerbSave && p.Reply }, bustest.Fate{Drop: true})
				w.tape.faults(func(p bustest.Packet) bustest.Fate {
					if test.dropsLost && strings.HasPrefix(verbOf(p), "mapper.") {
						return bustest.Fate{Drop: true}
					}
					return lose(p)
				})
				w.saver("saver")
				f := w.fetcher("fetcher", func(c *fetcher.Config) { c.OnDone = "stay" })
				a := w.mapper("a", "users", nil)
				pass(20 * time.Second)
				if sent, h := len(w.tape.sent()), len(w.tape.handed()); sent != test.sent || h != 2 {
					t.Errorf("%d results sent of %d chunks handed out, want %d of 2", sent, h, test.sent)
				}
				s := f.Status()
				if s.State != report.StateDone || s.Chunks.Duplicates != test.duplicates || s.Objects.Saved != 2 || s.Chunks.Redelivered != 0 {
					t.Errorf("status is %+v, want done, with %d duplicates", s, test.duplicates)
				}
				if s.Mappers[0].Held != 0 {
					t.Errorf("the mapper still holds chunks")
				}
				begin := time.Now()
				a.cancel()
				if err := a.within(time.Minute); err != nil || time.Since(begin) != 0 {
					t.Errorf("mapper stopped after %s (%v), want at once: it holds nothing", time.Since(begin), err)
				}
				w.complete(2)
			})
		})
	}
}

// All confirmations may be lost: the fetcher asks the saver about chunks that mappers no longer
// list, and none is mapped again.
func TestLostConfirmations(t *testing.T) {
	for name, lost := range map[string]func(bustest.Packet) bool{
		"confirmation": func(p bustest.Packet) bool { return verbOf(p) == wire.VerbSaved && !p.Reply },
		"its answer":   func(p bustest.Packet) bool { return verbOf(p) == wire.VerbSaved && p.Reply },
	} {
		for _, n := range []int{1, 1 << 30} {
			t.Run(fmt.Sprintf("%s %d times", name, n), func(t *testing.T) {
				run(t, 10, 2, func(t *testing.T, w *world) {
					w.tape.faults(first(n, lost, bustest.Fate{Drop: true}))
					w.saver("saver")
					f := w.fetcher("fetcher", nil)
					w.mapper("a", "users", nil)
					if err := f.within(15 * time.Second); err != nil {
						t.Fatal(err)
					}
					w.handedOnce(10)
					w.sentOnce(10)
					if s := f.Status().Chunks; s.Redelivered != 0 || s.Duplicates != 0 {
						t.Errorf("status counts %+v, want nothing twice", s)
					}
					w.complete(10)
				})
			})
		}
	}
}

// The fetcher repeats a request to the saver that was damaged on the way, whatever the operation
// and however often: the failure says nothing about the sink.
func TestDamagedQuestions(t *testing.T) {
	for _, op := range []wire.SyncOp{wire.SyncClaim, wire.SyncList, wire.SyncFinish} {
		t.Run(string(op), func(t *testing.T) {
			run(t, 10, 2, func(t *testing.T, w *world) {
				w.tape.faults(first(10, func(p bustest.Packet) bool {
					q, err := wire.DecodeSync(p.Message)
					return verbOf(p) == wire.VerbSync && !p.Reply && err == nil && q.Op == op
				}, bustest.Fate{Corrupt: true}))
				w.saver("saver")
				f := w.fetcher("fetcher", nil)
				w.mapper("a", "users", nil)
				if err := f.within(time.Minute); err != nil {
					t.Fatal(err)
				}
				w.complete(10)
			})
		})
	}
}

// A message that arrives twice has no effect the second time.
func TestDoubledMessages(t *testing.T) {
	for _, verb := range []string{wire.VerbNext, wire.VerbBeat, wire.VerbSave, wire.VerbSaved, wire.VerbSync, wire.VerbHello, "mapper.", ""} {
		t.Run("all of "+verb, func(t *testing.T) {
			run(t, 20, 2, func(t *testing.T, w *world) {
				w.tape.faults(func(p bustest.Packet) bustest.Fate {
					if strings.HasPrefix(verbOf(p), verb) {
						return bustest.Fate{Copies: 1}
					}
					return bustest.Fate{}
				})
				w.saver("saver")
				f := w.fetcher("fetcher", nil)
				w.mapper("a", "users?duration=100ms", func(c *mapper.Config) { c.Workers = 2 })
				if err := f.within(10 * time.Second); err != nil {
					t.Fatal(err)
				}
				if s := f.Status().Chunks; s.Redelivered != 0 {
					t.Errorf("status counts %+v, want no redelivery", s)
				}
				w.complete(20)
			})
		})
	}
}

// Messages that arrive late and out of order only delay the job.
func TestDelayedMessages(t *testing.T) {
	for _, verb := range []string{wire.VerbNext, wire.VerbBeat, wire.VerbSave, wire.VerbSaved, wire.VerbSync} {
		for _, replies := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s answers %v", verb, replies), func(t *testing.T) {
				run(t, 40, 2, func(t *testing.T, w *world) {
					dice := rand.New(rand.NewPCG(1, 2))
					w.tape.faults(func(p bustest.Packet) bustest.Fate {
						if verbOf(p) == verb && p.Reply == replies && dice.IntN(3) == 0 {
							return bustest.Fate{Delay: time.Duration(dice.IntN(2500)) * time.Millisecond}
						}
						return bustest.Fate{}
					})
					w.saver("saver")
					f := w.fetcher("fetcher", nil)
					for _, name := range []string{"a", "b"} {
						w.mapper(name, "users?duration=100ms", func(c *mapper.Config) { c.Workers = 2 })
					}
					if err := f.within(time.Minute); err != nil {
						t.Fatal(err)
					}
					if s := f.Status().Chunks; s.Redelivered != 0 {
						t.Errorf("status counts %+v, want no redelivery", s)
					}
					w.sentOnce(40)
					for _, h := range w.tape.handed() {
						if h.Attempt != 1 {
							t.Errorf("piece %s was handed out as attempt %d", h.Piece(), h.Attempt)
						}
					}
					w.complete(40)
				})
			})
		}
	}
}

// A bad network only delays the job.
func TestBadNetwork(t *testing.T) {
	rates := bustest.Rates{Drop: 0.05, Duplicate: 0.1, Delay: 0.1, Reorder: 0.1, Corrupt: 0.03, MaxDelay: 3 * time.Second}
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			run(t, 200, 2, func(t *testing.T, w *world) {
				w.tape.faults(bustest.Random(seed, rates))
				w.saver("saver")
				f := w.fetcher("fetcher", speculate)
				for i := range 4 {
					w.mapper(fmt.Sprint("m", i), "users?duration=300ms", func(c *mapper.Config) { c.Workers = 2 })
				}
				if err := f.within(30 * time.Minute); err != nil {
					t.Fatal(err)
				}
				w.complete(200)
			})
		})
	}
}
