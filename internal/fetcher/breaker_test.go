package fetcher_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// fakeMapper is a mapper of a version that asks for chunks, and has them saved.
type fakeMapper struct {
	b       *bench
	mapper  string
	version string
	seq     uint64
}

// ask asks for a chunk.
func (f *fakeMapper) ask() <-chan wire.Work {
	f.seq++
	n := f.b.next(f.mapper, f.seq)
	n.Mapper.Version, n.Wait = f.version, 20*time.Second
	return f.b.ask(n)
}

// got returns the answer with a chunk; false if there is none yet.
func got(answer <-chan wire.Work) (wire.Work, bool) {
	synctest.Wait()
	select {
	case w := <-answer:
		return w, w.Status == wire.WorkGrant
	default:
		return wire.Work{}, false
	}
}

// saved plays the saver, which has committed a chunk with some dead letters.
func (f *fakeMapper) saved(w wire.Work, dead int) {
	f.b.t.Helper()
	f.savedOf(w, dead, report.Summary{})
}

// savedOf is saved with the sink's summary after the commit.
func (f *fakeMapper) savedOf(w wire.Work, dead int, total report.Summary) {
	f.b.t.Helper()
	f.b.play(func() { f.b.summary = total })
	s := wire.Saved{
		Total: total,
		Plan:  f.b.Status().Plan, Epoch: f.b.Status().Epoch,
		Pieces: []wire.SavedPiece{{Entry: wire.Entry{ID: only(w).Chunk.ID, Objects: 2, Of: 2, Digest: only(w).Digest}, Mapper: f.mapper, Dead: dead}},
	}
	if _, err := f.b.peer.Request(f.b.t.Context(), wire.VerbSaved, s.Encode(f.b.sink.Key())); err != nil {
		f.b.t.Fatal(err)
	}
	synctest.Wait()
}

// TestBreaker: a version whose objects fail gets no more chunks, while others do, and
// the status shows its open breaker. An operator can close it, and a good probe closes it.
func TestBreaker(t *testing.T) {
	set := func(c *fetcher.Config) { c.BreakAt, c.BreakFor = 0.4, 10*time.Second }
	runWith(t, 200, set, func(t *testing.T, b *bench) {
		bad, good := &fakeMapper{b: b, mapper: "m1", version: "v2"}, &fakeMapper{b: b, mapper: "m2", version: "v1"}
		open := func() *float64 {
			pass(300 * time.Millisecond)
			for _, v := range b.Status().Versions {
				if v.Version == "v2" {
					return v.BreakerOpenSeconds
				}
			}
			t.Fatal("no version v2 in the status")
			return nil
		}
		for i := range 5 {
			w, ok := got(bad.ask())
			if !ok {
				t.Fatalf("no chunk %d, although no object failed", i)
			}
			bad.saved(w, 1) // one dead letter of two objects
		}
		if open() == nil {
			t.Fatalf("half of its objects failed, but its breaker is closed: %+v", b.Status().Versions)
		}
		waits := bad.ask()
		if w, ok := got(waits); ok {
			t.Errorf("a version whose breaker is open got chunk %d", only(w).Chunk.ID)
		}
		w, ok := got(good.ask())
		if !ok {
			t.Error("another version got no chunk")
		}
		good.saved(w, 0)
		pass(300 * time.Millisecond)
		if held := b.Status().Bottleneck; held == nil || held.Cause != report.CauseVersion {
			t.Errorf("bottleneck %+v, want %s", held, report.CauseVersion)
		}

		if err := b.Control(t.Context(), wire.Control{Action: wire.ControlAllow, Version: "v2"}); err != nil {
			t.Fatal(err)
		}
		if w, ok = got(waits); !ok || open() != nil {
			t.Fatal("the version is allowed again, but got no chunk")
		}
		bad.saved(w, 2)
		for range 4 {
			w, _ := got(bad.ask())
			bad.saved(w, 2)
		}
		if rest := open(); rest == nil || *rest > 10 {
			t.Fatalf("open for %v, want 10 s", rest)
		}
		waits = bad.ask()
		for seq := uint64(100); seq < 111; seq++ {
			pass(time.Second)
			bad.beatAsking(seq)
		}
		if w, ok = got(waits); !ok {
			t.Fatal("no probe after 10 s")
		}
		bad.saved(w, 0)
		if open() != nil {
			t.Error("its probe succeeded, but its breaker is not closed")
		}
	})
}

// TestShare: an operator limits a version in the middle of a job; with a share of 0 it gets no chunk.
func TestShare(t *testing.T) {
	run(t, 200, func(t *testing.T, b *bench) {
		c := &fakeMapper{b: b, mapper: "m1", version: "v2"}
		w, ok := got(c.ask())
		if !ok {
			t.Fatal("no chunk")
		}
		c.saved(w, 0)
		if err := b.Control(t.Context(), wire.Control{Action: wire.ControlShare, Version: "v2"}); err != nil {
			t.Fatal(err)
		}
		waits := c.ask()
		if _, ok := got(waits); ok {
			t.Error("got a chunk with a share of 0")
		}
		if err := b.Control(t.Context(), wire.Control{Action: wire.ControlShare, Version: "v2", Share: 1}); err != nil {
			t.Fatal(err)
		}
		if _, ok := got(waits); !ok {
			t.Error("no chunk, although the limit was removed")
		}
		for _, wrong := range []wire.Control{
			{Action: wire.ControlShare, Version: "v2", Share: 1.5}, {Action: wire.ControlShare, Share: 0.5}, {Action: wire.ControlAllow, Version: "v2"},
		} {
			if err := b.Control(t.Context(), wrong); err == nil {
				t.Errorf("%+v was accepted, want it refused", wrong)
			}
		}
	})
}

// beatAsking sends a heartbeat of a mapper that holds nothing and has an open request.
func (f *fakeMapper) beatAsking(seq uint64) {
	b := f.b
	b.t.Helper()
	m := wire.Beat{
		Plan: b.Status().Plan, Mapper: report.Mapper{ID: f.mapper, Name: f.mapper, Version: f.version, Transform: "users"},
		Holding: wire.Holding{Seq: seq, Asking: []uint64{f.seq}},
	}
	if err := b.peer.Publish(wire.VerbBeat, m.Encode()); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

// TestBreaker_onlyVersion: a job whose only version has an open breaker goes on with probes, and the
// status says why and what to do.
func TestBreaker_onlyVersion(t *testing.T) {
	set := func(c *fetcher.Config) { c.BreakAt, c.BreakFor = 0.5, 10*time.Second }
	runWith(t, 400, set, func(t *testing.T, b *bench) {
		var total report.Summary
		c := &fakeMapper{b: b, mapper: "m1", version: "v1"}
		c.savedAll(t, 3, 0, &total)
		c.savedAll(t, 4, 2, &total) // 8 of 14 objects are dead letters
		pass(300 * time.Millisecond)
		held := b.Status().Bottleneck
		if held == nil || held.Cause != report.CauseVersion {
			t.Fatalf("bottleneck %+v, want %s", held, report.CauseVersion)
		}
		for _, word := range []string{"disabled version v1", "57 %", "no other version is connected", "a probe in 10 s", "chunkline control allow"} {
			if !strings.Contains(held.Text, word) {
				t.Errorf("no %q in %q", word, held.Text)
			}
		}
	})
}

// TestBreaker_vanished: vanished mappers open the breaker of their version only while
// another version could do the work.
func TestBreaker_vanished(t *testing.T) {
	for _, others := range []bool{false, true} {
		set := func(c *fetcher.Config) { c.BreakAt, c.BreakFor = 0.5, 10*time.Second }
		t.Run(map[bool]string{false: "alone", true: "beside others"}[others], func(t *testing.T) {
			runWith(t, 400, set, func(t *testing.T, b *bench) {
				other := &fakeMapper{b: b, mapper: "m1", version: "v1"}
				for i := range 6 {
					c := &fakeMapper{b: b, mapper: fmt.Sprint("gone", i), version: "v2"}
					if _, ok := got(c.ask()); !ok {
						t.Fatal("no chunk")
					}
				}
				for i := range 8 { // their pings have no responders, so they are gone
					if others {
						other.beatAsking(uint64(100 + i))
					}
					pass(time.Second)
				}
				for _, v := range b.Status().Versions {
					if v.Version == "v2" && (v.Vanished != 6 || (v.BreakerOpenSeconds != nil) != others) {
						t.Errorf("%+v, want 6 vanished, breaker open: %t", v, others)
					}
				}
			})
		})
	}
}
