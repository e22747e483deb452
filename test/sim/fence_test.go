package sim

import (
	"errors"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
)

// A second fetcher of the same plan takes over. The first one ends with ErrFenced, and no chunk in
// flight is mapped again.
func TestTakeover(t *testing.T) {
	run(t, 10, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f1 := w.fetcher("f1", nil)
		w.mapper("a", "users?duration=10s", twoWorkers)
		w.mapper("b", "users?duration=10s", twoWorkers)
		pass(5 * time.Second)
		f2 := w.fetcher("f2", nil)
		if err := f1.within(3 * time.Second); !errors.Is(err, fetcher.ErrFenced) {
			t.Fatalf("first fetcher ended with %v, want ErrFenced", err)
		}
		if err := f2.within(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if e := f2.Status().Epoch; e != 2 {
			t.Errorf("epoch is %d, want 2", e)
		}
		w.handedOnce(10)
		w.sentOnce(10)
		w.complete(10)
	})
}

// A fetcher of another plan is refused, without effect on the running one.
func TestOtherPlan(t *testing.T) {
	run(t, 2, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f1 := w.fetcher("f1", nil)
		w.mapper("a", "users?duration=10s", nil)
		pass(5 * time.Second)
		f2 := w.fetcher("f2", func(c *fetcher.Config) { c.ChunkSize = 3 })
		if err := f2.within(time.Second); !errors.Is(err, fetcher.ErrOtherPlan) {
			t.Errorf("fetcher of another plan ended with %v, want ErrOtherPlan", err)
		}
		if err := f1.within(time.Minute); err != nil {
			t.Errorf("the first fetcher ended with %v", err)
		}
		w.complete(2)
	})
}

// A fetcher that was cut off while another took over ends when it reconnects.
func TestFrozenFetcherComesBack(t *testing.T) {
	run(t, 15, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f1 := w.fetcher("f1", nil)
		w.mapper("a", "users?duration=10s", twoWorkers)
		pass(5 * time.Second)
		w.tape.cut("f1")
		pass(20 * time.Second)
		f2 := w.fetcher("f2", nil)
		pass(20 * time.Second)
		select {
		case <-f1.done:
			t.Fatal("the first fetcher has ended before it could know")
		default:
		}
		w.tape.faults(nil)
		before := len(w.tape.handed())
		if err := f1.within(10 * time.Second); !errors.Is(err, fetcher.ErrFenced) {
			t.Fatalf("first fetcher ended with %v, want ErrFenced", err)
		}
		if err := f2.within(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		for _, h := range w.tape.handed()[before:] {
			if h.from == "f1" {
				t.Errorf("the first fetcher handed out chunk %d after it was replaced", h.Chunk.ID)
			}
		}
		w.sentOnce(15)
		w.complete(15)
	})
}

// A restarted fetcher adopts the chunks that mappers hold, however long it was down.
func TestFetcherRestart(t *testing.T) {
	for _, away := range []time.Duration{0, 300 * time.Millisecond, 3 * time.Second, 30 * time.Second} {
		t.Run(away.String(), func(t *testing.T) {
			run(t, 20, 1, func(t *testing.T, w *world) {
				w.saver("saver")
				f := w.fetcher("fetcher", nil)
				m := w.mapper("a", "users?duration=10s", twoWorkers)
				w.mapper("b", "users?duration=10s", twoWorkers)
				pass(15 * time.Second)
				f.crash()
				pass(away)
				f = w.fetcher("fetcher", nil)
				begin := time.Now()
				pass(5 * time.Second)
				wantReady(t, true, f, m)
				if err := f.within(5 * time.Minute); err != nil {
					t.Fatal(err)
				}
				w.handedOnce(20)
				w.sentOnce(20)
				// 4 of 20 are saved and 4 in flight; the other 12 take 10 s for each 4.
				if took := f.ended.Sub(begin); took > 45*time.Second {
					t.Errorf("took %s more", took)
				}
				if s := f.Status().Chunks; s.Redelivered != 0 || s.Duplicates != 0 || s.Saved != 20 {
					t.Errorf("status counts %+v, want no redelivery", s)
				}
				if away > 10*time.Second {
					w.once(`"name":"a"`, "no answer from the fetcher")
					w.once(`"name":"a"`, "the fetcher answers again")
				}
				w.complete(20)
			})
		})
	}
}

// A new fetcher listens for heartbeats before it hands out chunks: an idle mapper that asks first
// does not get chunks that others hold.
func TestFetcherRestartListens(t *testing.T) {
	run(t, 2, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("busy", "users?duration=30s", twoWorkers)
		w.mapper("idle", "users", nil)
		pass(5300 * time.Millisecond)
		f.crash()
		f = w.fetcher("fetcher", nil)
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		w.handedOnce(2)
		w.complete(2)
	})
}

// Saver, mapper and fetcher crash and restart many times; only the sink lasts.
func TestAllRestart(t *testing.T) {
	run(t, 60, 2, func(t *testing.T, w *world) {
		for range 20 {
			s, f := w.saver("saver"), w.fetcher("fetcher", func(c *fetcher.Config) { c.OnDone = "stay" })
			m := w.mapper("a", "users?duration=1s", twoWorkers)
			pass(4500 * time.Millisecond)
			s.crash()
			m.crash()
			f.crash()
		}
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users", nil)
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		w.complete(60)
	})
}
