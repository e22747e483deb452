package fetcher_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
)

// savedAll has so many chunks of two objects mapped and saved, and says what the sink
// then holds.
func (c *crew) savedAll(t *testing.T, chunks, dead int, total *report.Summary) {
	t.Helper()
	for range chunks {
		w, ok := got(c.ask())
		if !ok {
			t.Fatalf("no chunk for %s with %+v saved", c.mapper, *total)
		}
		total.Chunks++
		total.Objects += 2
		total.Dead += uint64(dead)
		c.savedOf(w, dead, *total)
	}
}

// TestHopeless: a job all of whose first hundred objects fail is stopped, with the
// commonest error, unless it is to go on, one object was mapped, or a version is here of
// which nothing is known.
func TestHopeless(t *testing.T) {
	const first = 50 // chunks of two
	for name, c := range map[string]struct {
		keepGoing, another bool
		good               int // chunks
		stops              bool
	}{
		"all dead":        {stops: true},
		"one good":        {good: 1},
		"keep going":      {keepGoing: true},
		"another version": {another: true},
	} {
		t.Run(name, func(t *testing.T) {
			set := func(f *fetcher.Config) { f.KeepGoing = c.keepGoing }
			runWith(t, 400, set, func(t *testing.T, b *bench) {
				var total report.Summary
				b.play(func() { b.letters = []report.DeadLetter{{Error: "broken at 7"}, {Error: "broken at 12"}} })
				bad := &crew{b: b, mapper: "m1", version: "v1"}
				other := &crew{b: b, mapper: "m2", version: "v2"}
				if c.another {
					if _, ok := got(other.ask()); !ok {
						t.Fatal("no chunk for the other version")
					}
				}
				bad.savedAll(t, c.good, 0, &total)
				bad.savedAll(t, first-1, 2, &total)
				select {
				case err := <-b.done:
					t.Fatalf("ended with %v after %d objects", err, total.Objects)
				default:
				}
				bad.savedAll(t, 1, 2, &total)
				pass(time.Second)
				select {
				case err := <-b.done:
					if !c.stops || !errors.Is(err, fetcher.ErrHopeless) || app.Code(err) != app.ExitFailed {
						t.Fatalf("ended with %v", err)
					}
					for _, word := range []string{"100 objects", "2 of the last 3 with an error such as: broken at 7", "KEEP_GOING=true"} {
						if !strings.Contains(err.Error(), word) {
							t.Errorf("no %q in %q", word, err)
						}
					}
				default:
					if c.stops {
						t.Fatal("goes on though all of the first 100 objects failed")
					}
				}
			})
		})
	}
}

// TestHopelessAgain: a fetcher that is started again after that hands out one chunk,
// and stops when it is dead, too.
func TestHopelessAgain(t *testing.T) {
	before := func(b *bench) { b.summary = report.Summary{Objects: 100, Dead: 100} }
	runAfter(t, 400, before, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		pass(2 * time.Second) // it hears mappers first
		total := b.summary
		one, two := &crew{b: b, mapper: "m1", version: "v1"}, &crew{b: b, mapper: "m2", version: "v1"}
		w, ok := got(one.ask())
		if !ok {
			t.Fatal("no chunk")
		}
		if w, ok := got(two.ask()); ok {
			t.Fatalf("chunk %d is handed out before the first is known to be well", w.Chunk.ID)
		}
		total.Chunks, total.Objects, total.Dead = total.Chunks+1, total.Objects+2, total.Dead+2
		one.savedOf(w, 2, total)
		pass(time.Second)
		select {
		case err := <-b.done:
			if !errors.Is(err, fetcher.ErrHopeless) {
				t.Errorf("ended with %v", err)
			}
		default:
			t.Error("goes on")
		}
	})
}

// TestOnlyVersionCutOff: a job whose only version is cut off goes on with probes, and says
// why and what to do.
func TestOnlyVersionCutOff(t *testing.T) {
	set := func(c *fetcher.Config) { c.BreakAt, c.BreakFor = 0.5, 10*time.Second }
	runWith(t, 400, set, func(t *testing.T, b *bench) {
		var total report.Summary
		c := &crew{b: b, mapper: "m1", version: "v1"}
		c.savedAll(t, 3, 0, &total)
		c.savedAll(t, 4, 2, &total) // 8 of 14
		pass(300 * time.Millisecond)
		held := b.Status().HeldBack
		if held == nil || held.By != report.ByVersion {
			t.Fatalf("held back by %+v, want %s", held, report.ByVersion)
		}
		for _, word := range []string{"disabled version v1", "57 %", "no other version is connected", "a probe in 10 s", "chunkline control allow"} {
			if !strings.Contains(held.Text, word) {
				t.Errorf("no %q in %q", word, held.Text)
			}
		}
	})
}

// TestVanishedOnlyVersion: mappers that are taken away are no reason to cut off the only
// version; one beside which others work is cut off.
func TestVanishedOnlyVersion(t *testing.T) {
	for _, others := range []bool{false, true} {
		set := func(c *fetcher.Config) { c.BreakAt, c.BreakFor = 0.5, 10*time.Second }
		t.Run(map[bool]string{false: "alone", true: "beside others"}[others], func(t *testing.T) {
			runWith(t, 400, set, func(t *testing.T, b *bench) {
				other := &crew{b: b, mapper: "m1", version: "v1"}
				for i := range 6 {
					c := &crew{b: b, mapper: fmt.Sprint("gone", i), version: "v2"}
					if _, ok := got(c.ask()); !ok {
						t.Fatal("no chunk")
					}
				}
				for i := range 8 { // nobody serves them: they are asked, and gone
					if others {
						other.beatAsking(uint64(100 + i))
					}
					pass(time.Second)
				}
				for _, v := range b.Status().Versions {
					if v.Version == "v2" && (v.Vanished != 6 || (v.CutOffSeconds != nil) != others) {
						t.Errorf("%+v, want 6 vanished, cut off: %t", v, others)
					}
				}
			})
		})
	}
}
