package fetcher_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// work makes a mapper work for a time, with took for each chunk, and calls look ten times a second.
func (f *fakeMapper) work(long, took time.Duration, look func()) {
	const step = 100 * time.Millisecond
	waits, left := f.ask(), time.Duration(-1) // -1: it has no chunk
	var w wire.Work
	for ; long > 0; long -= step {
		switch given, ok := got(waits); {
		case left > 0:
			left -= step
		case left == 0:
			f.saved(w, 0)
			waits, left = f.ask(), -1
		case ok:
			w, left = given, took-step
		}
		pass(step)
		look()
	}
}

// TestNoTimeLeft: the status has no time left while the job makes no progress.
func TestNoTimeLeft(t *testing.T) {
	run(t, 40, func(t *testing.T, b *bench) {
		m := &fakeMapper{b: b, mapper: "m1"}
		for i := range uint64(4) {
			w, ok := got(m.ask())
			if !ok {
				t.Fatal("no chunk")
			}
			s := wire.Saved{
				Plan: b.Status().Plan, Epoch: b.Status().Epoch, Total: report.Summary{Chunks: i + 1, Objects: 2 * (i + 1)},
				Pieces: []wire.SavedPiece{{Entry: wire.Entry{ID: only(w).Chunk.ID, Objects: 2, Of: 2, Digest: only(w).Digest}, Mapper: "m1"}},
			}
			if _, err := b.peer.Request(t.Context(), wire.VerbSaved, s.Encode(b.sink.Key())); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		if s := b.Status(); s.ETASeconds == nil {
			t.Fatalf("no time left, although the rate is %g/s", s.Rate)
		}
		if err := b.Control(t.Context(), wire.Control{Action: wire.ControlPause}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if s := b.Status(); s.ETASeconds != nil {
			t.Errorf("paused, and %g s left", *s.ETASeconds)
		}
	})
}

// TestRateIsTheCause: with a rate limit that the mapper could exceed, the limit is always
// the bottleneck, and no second mapper is wanted. With one that it cannot reach, the
// mappers are the bottleneck.
func TestRateIsTheCause(t *testing.T) {
	for name, c := range map[string]struct {
		rate   float64
		took   time.Duration
		cause  report.Cause
		wanted int // at most
	}{
		"the rate":    {rate: 2, took: 200 * time.Millisecond, cause: report.CauseRate, wanted: 1},
		"the mappers": {rate: 20, took: time.Second, cause: report.CauseMappers, wanted: 11},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, 400, func(cfg *fetcher.Config) { cfg.Rate = c.rate }, func(t *testing.T, b *bench) {
				begin := time.Now()
				(&fakeMapper{b: b, mapper: "m1"}).work(40*time.Second, c.took, func() {
					s := b.Status()
					if time.Since(begin) < 4*time.Second || t.Failed() {
						return
					}
					if s.Bottleneck == nil || s.Bottleneck.Cause != c.cause || s.Wanted > c.wanted || s.Wanted < 1 {
						t.Errorf("after %s: bottleneck %+v, and %d mappers are wanted; want %q and 1 to %d", time.Since(begin), s.Bottleneck, s.Wanted, c.cause, c.wanted)
					}
				})
			})
		})
	}
}

// TestFailing: while the objects fail, the status does not ask for more mappers.
func TestFailing(t *testing.T) {
	run(t, 400, func(t *testing.T, b *bench) {
		m := &fakeMapper{b: b, mapper: "m1"}
		for range 6 {
			w, ok := got(m.ask())
			if !ok {
				t.Fatal("no chunk")
			}
			m.saved(w, 2)
		}
		m.ask()
		pass(300 * time.Millisecond)
		if s := b.Status(); s.Bottleneck == nil || s.Bottleneck.Cause != report.CauseFailing || s.Wanted != 1 {
			t.Errorf("bottleneck %+v, and %d mappers are wanted; want failing, and 1", s.Bottleneck, s.Wanted)
		}
	})
}

// TestAfterTheEnd: when the job is done, no mapper waits or has a speed.
func TestAfterTheEnd(t *testing.T) {
	runWith(t, 4, func(cfg *fetcher.Config) { cfg.OnDone = "stay" }, func(t *testing.T, b *bench) {
		m, idle := &fakeMapper{b: b, mapper: "m1"}, &fakeMapper{b: b, mapper: "m2"}
		first, _ := got(m.ask())
		m.saved(first, 0)
		pass(time.Second)
		last, _ := got(m.ask())
		idle.ask()
		pass(time.Second)
		for _, w := range []wire.Work{first, last} {
			result := sink.Result{Chunk: only(w).Chunk.ID, Of: only(w).Chunk.Count, First: only(w).Chunk.First, Objects: only(w).Chunk.Count, Digest: only(w).Digest, Counts: make([]int, only(w).Chunk.Count)}
			if _, err := b.sink.Commit(t.Context(), []sink.Result{result}); err != nil {
				t.Fatal(err)
			}
		}
		m.saved(last, 0)
		pass(5 * time.Second)
		synctest.Wait()
		s := b.Status()
		if s.State != report.StateDone || s.Waiting != 0 || s.ETASeconds != nil {
			t.Errorf("%s with %d waiting, time left %v; want done, and nothing", s.State, s.Waiting, s.ETASeconds)
		}
		for _, m := range s.Mappers {
			if m.Rate != 0 {
				t.Errorf("mapper %s is %s at %g objects/s", m.Name, m.State, m.Rate)
			}
		}
		for _, v := range s.Versions {
			if v.Rate != 0 {
				t.Errorf("version %q has %g objects/s", v.Version, v.Rate)
			}
		}
	})
}
