package fetcher_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// savedAll maps and saves a number of chunks of two objects, and adds them to the sink's
// summary.
func (f *fakeMapper) savedAll(t *testing.T, chunks, dead int, total *report.Summary) {
	t.Helper()
	for range chunks {
		w, ok := got(f.ask())
		if !ok {
			t.Fatalf("no chunk for %s with %+v saved", f.mapper, *total)
		}
		total.Chunks++
		total.Objects += 2
		total.Dead += uint64(dead)
		f.savedOf(w, dead, *total)
	}
}

// TestHopeless: a job whose first hundred objects all fail stops with the most common
// error, unless KeepGoing is set, one object was mapped, or another version is connected
// that has no results yet.
func TestHopeless(t *testing.T) {
	const first = 50 // chunks of two objects
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
				bad := &fakeMapper{b: b, mapper: "m1", version: "v1"}
				other := &fakeMapper{b: b, mapper: "m2", version: "v2"}
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
						t.Fatal("still runs although all of the first 100 objects failed")
					}
				}
			})
		})
	}
}

// TestHopelessAgain: after a restart the fetcher of such a job hands out one chunk, and
// stops again when that one fails, too.
func TestHopelessAgain(t *testing.T) {
	before := func(b *bench) {
		b.summary = report.Summary{Objects: 100, Dead: 100}
		for id := range chunk.ID(50) {
			b.holds(150 + id)
		}
	}
	runAfter(t, 400, before, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		pass(2 * time.Second) // the fetcher first listens to mappers
		total := b.summary
		one, two := &fakeMapper{b: b, mapper: "m1", version: "v1"}, &fakeMapper{b: b, mapper: "m2", version: "v1"}
		w, ok := got(one.ask())
		if !ok {
			t.Fatal("no chunk")
		}
		if w, ok := got(two.ask()); ok {
			t.Fatalf("chunk %d was handed out before the result of the first was saved", only(w).Chunk.ID)
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
			t.Error("still runs")
		}
	})
}

// tells sends a heartbeat of a mapper that holds a chunk.
func (b *bench) tells(mapper string, seq uint64, held chunk.ID, signs wire.Beat) {
	b.t.Helper()
	signs.Plan, signs.Mapper = b.Status().Plan, next(mapper, seq).Mapper
	signs.Holding = wire.Holding{Seq: seq, Held: wholes(held)}
	if err := b.peer.Publish(wire.VerbBeat, signs.Encode()); err != nil {
		b.t.Fatal(err)
	}
	pass(300 * time.Millisecond)
}

// ended returns the error with which the fetcher has ended; nil while it runs.
func (b *bench) ended() error {
	select {
	case err := <-b.done:
		return err
	default:
		return nil
	}
}

// TestMute: a job whose transform never answers stops within its first chunks, unless
// KeepGoing is set, an object was mapped before, or another mapper may do better.
func TestMute(t *testing.T) {
	mute := wire.Beat{Unanswered: 2, Notice: "it does not flush"}
	for name, c := range map[string]struct {
		keepGoing bool
		mapped    uint64    // objects in the sink that are not dead letters
		other     wire.Beat // of the other mapper
		stops     bool
	}{
		"both mute":       {other: mute, stops: true},
		"the other is ok": {other: wire.Beat{}},
		"mapped before":   {mapped: 2, other: mute},
		"keep going":      {keepGoing: true, other: mute},
	} {
		t.Run(name, func(t *testing.T) {
			before := func(b *bench) {
				b.summary = report.Summary{Objects: c.mapped}
				if c.mapped > 0 {
					b.holds(3)
				}
			}
			runAfter(t, 8, before, func(f *fetcher.Config) { f.KeepGoing = c.keepGoing }, func(t *testing.T, b *bench) {
				pass(3 * time.Second) // the fetcher asks the saver for its chunks
				b.wantWork(b.ask(next("m1", 1)), 0)
				b.wantWork(b.ask(next("m2", 1)), 1)
				b.tells("m1", 2, 0, mute)
				if err := b.ended(); err != nil {
					t.Fatalf("ended with %v after two objects of one mapper", err)
				}
				if m := b.Status().Mappers; len(m) == 0 || m[0].Notice != mute.Notice {
					t.Errorf("mappers are %+v, want the notice of the first mapper", m)
				}
				b.tells("m2", 2, 1, c.other)
				switch err := b.ended(); {
				case errors.Is(err, fetcher.ErrMute) != c.stops:
					t.Errorf("ended with %v, want that it stops: %t", err, c.stops)
				case c.stops && (!strings.Contains(err.Error(), "4 objects; it does not flush") || !strings.Contains(err.Error(), "KEEP_GOING")):
					t.Errorf("ended with %v, want the count, the cause and a hint", err)
				}
			})
		})
	}
}

// TestMaxDeadInChunk: a job stops when more objects of one chunk in flight have failed than
// MaxDead allows, if the mapper that reports them holds the chunk.
func TestMaxDeadInChunk(t *testing.T) {
	for name, c := range map[string]struct {
		chunk  chunk.ID
		failed int
		stops  bool
	}{
		"too many":       {0, 2, true},
		"as many":        {0, 1, false},
		"another chunk":  {1, 2, false},
		"more than have": {0, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, 8, func(f *fetcher.Config) { f.MaxDead = 1 }, func(t *testing.T, b *bench) {
				b.wantWork(b.ask(next("m1", 1)), 0)
				b.tells("m1", 2, 0, wire.Beat{Failed: &wire.Failed{Chunk: c.chunk, Objects: c.failed}, FailedReason: "broken"})
				err := b.ended()
				if errors.Is(err, fetcher.ErrTooManyDead) != c.stops || c.stops && !strings.Contains(err.Error(), "2 in chunk 0 alone, the last one with: broken") {
					t.Errorf("ended with %v, want that it stops: %t", err, c.stops)
				}
			})
		})
	}
}
