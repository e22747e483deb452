package sim

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// crowd starts mappers and waits a minute, in which those that find no fetcher reach their longest
// pause.
func (w *world) crowd(mappers int) {
	w.t.Helper()
	for i := range mappers {
		w.mapper(string(rune('a'+i)), "users?duration=50ms", nil)
	}
	pass(time.Minute)
}

// begun returns the time from since until n chunks had been handed out.
func (w *world) begun(since time.Time, n int) time.Duration {
	w.t.Helper()
	h := w.tape.handed()
	if len(h) < n {
		w.t.Fatalf("%d chunks were handed out, want %d", len(h), n)
	}
	return h[n-1].at.Sub(since)
}

// Mappers that wait for a fetcher have work within 50 ms of its start, and the job takes as long as
// its work. Without the hello they ask as their pauses end.
func TestHello(t *testing.T) {
	const mappers, chunks = 16, 320 // 1 s of work
	for name, test := range map[string]struct {
		lost    bool
		soonest time.Duration // until all have work
		latest  time.Duration
		took    time.Duration // the job, at most
	}{
		"heard": {false, 0, 50 * time.Millisecond, 1150 * time.Millisecond},
		"lost":  {true, 300 * time.Millisecond, 3 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, chunks, 1, func(t *testing.T, w *world) {
				w.tape.faults(func(p bustest.Packet) bustest.Fate {
					return bustest.Fate{Drop: test.lost && verbOf(p) == wire.VerbHello}
				})
				w.saver("saver")
				w.crowd(mappers)
				begin := time.Now()
				f := w.fetcher("fetcher", nil)
				if err := f.within(time.Minute); err != nil {
					t.Fatal(err)
				}
				busy := map[string]bool{}
				var all time.Duration
				for _, h := range w.tape.handed() {
					if !busy[h.to] {
						busy[h.to], all = true, h.at.Sub(begin)
					}
				}
				t.Logf("%d mappers have work after %s, the job took %s", len(busy), all, f.ended.Sub(begin))
				if len(busy) != mappers && !test.lost || all < test.soonest || all > test.latest || f.ended.Sub(begin) > test.took {
					t.Errorf("want all %d mappers after %s to %s, and the job in %s at most", mappers, test.soonest, test.latest, test.took)
				}
				w.complete(chunks)
			})
		})
	}
}

// After a fetcher was killed, mappers that wait for its answer, or pause between requests by now,
// ask the next fetcher at once.
func TestHello_restart(t *testing.T) {
	for name, away := range map[string]time.Duration{"at once": 0, "a minute later": time.Minute} {
		t.Run(name, func(t *testing.T) {
			run(t, 30, 1, func(t *testing.T, w *world) {
				w.saver("saver")
				paused := func(c *fetcher.Config) { c.Rate = 1e-3 } // one chunk goes out, and the other mappers wait
				f := w.fetcher("fetcher", paused)
				w.crowd(4)
				f.crash()
				pass(away)
				before := len(w.tape.handed())
				begin := time.Now()
				var asked atomic.Int64
				w.tape.faults(func(p bustest.Packet) bustest.Fate {
					if _, err := wire.DecodeNext(p.Message); err == nil && verbOf(p) == wire.VerbNext && p.To == "next" {
						asked.Add(1)
					}
					return bustest.Fate{}
				})
				f = w.fetcher("next", nil)
				pass(50 * time.Millisecond)
				if n := asked.Load(); n != 4 {
					t.Errorf("%d workers have asked the next fetcher 50ms after it serves, want 4", n)
				}
				if err := f.within(time.Minute); err != nil {
					t.Fatal(err)
				}
				if took := w.begun(begin, before+4); took > 1550*time.Millisecond {
					t.Errorf("all have work after %s, want the 1.5s in which the fetcher listens, and 50ms", took)
				}
				w.complete(30)
			})
		})
	}
}

// After a NATS outage both workers have work soon after fetcher and mapper have reconnected, in
// either order.
func TestHello_reconnect(t *testing.T) {
	for name, fetcherFirst := range map[string]bool{"fetcher first": true, "mapper first": false} {
		t.Run(name, func(t *testing.T) {
			run(t, 30, 1, func(t *testing.T, w *world) {
				w.saver("saver")
				f := w.fetcher("fetcher", nil)
				w.mapper("a", "users?duration=1s", func(c *mapper.Config) { c.Workers = 2 })
				pass(2500 * time.Millisecond)
				w.net.Away()
				pass(time.Minute)
				before := len(w.tape.handed())
				order := []string{"fetcher", "saver", "a"}
				if !fetcherFirst {
					order = []string{"a", "saver", "fetcher"}
				}
				for _, name := range order {
					pass(700 * time.Millisecond)
					w.conn(name).Reconnect()
				}
				begin := time.Now()
				if err := f.within(time.Minute); err != nil {
					t.Fatal(err)
				}
				if took := w.begun(begin, before+2); took > 50*time.Millisecond {
					t.Errorf("both workers have work %s after the last was back, want 50ms", took)
				}
				w.complete(30)
			})
		})
	}
}
