package fetcher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// confirm plays a saver that confirms a chunk of two objects, and reports whether it was answered
// within a second.
func (b *bench) confirm(key []byte, id chunk.ID, digest chunk.Digest) bool {
	b.t.Helper()
	return b.confirmAs(report.SaverLoad{}, key, id, digest)
}

// confirmAs is confirm by a saver that reports this of itself.
func (b *bench) confirmAs(saver report.SaverLoad, key []byte, id chunk.ID, digest chunk.Digest) bool {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	s := wire.Saved{
		Plan: b.Status().Plan, Epoch: b.Status().Epoch,
		Pieces: []wire.SavedPiece{{Entry: wire.Entry{ID: id, Objects: 2, Of: 2, Digest: digest}, Mapper: "m1"}},
		Load:   saver,
	}
	_, err := b.peer.Request(ctx, wire.VerbSaved, s.Encode(key))
	synctest.Wait()
	return err == nil
}

// TestSavedFromOtherObjects: a confirmation of a chunk with other objects, which an earlier
// fetcher handed out, ends the fetcher, because the source has changed.
func TestSavedFromOtherObjects(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m1", 1)), 0)
		b.confirm(b.sink.Key(), 0, chunk.Sum([]byte("another\n")))
		select {
		case err := <-b.done:
			if !errors.Is(err, fetcher.ErrSourceChanged) {
				t.Errorf("ended with %v, want ErrSourceChanged", err)
			}
		default:
			t.Error("still runs")
		}
	})
}

// TestSavedEarly: a chunk that is confirmed before it is cut, because a mapper of an earlier fetcher had it, counts as
// saved once it is cut. It is not handed out.
func TestSavedEarly(t *testing.T) {
	const chunks, early = 300, 290 // the window has 256
	run(t, 2*chunks, func(t *testing.T, b *bench) {
		confirm := func(id chunk.ID) {
			t.Helper()
			if !b.confirm(b.sink.Key(), id, chunk.Sum(fmt.Appendf(nil, "%d\n%d\n", 2*id, 2*id+1))) {
				t.Fatalf("no answer to the confirmation of chunk %d", id)
			}
		}
		confirm(early)
		for id := range chunk.ID(early) {
			confirm(id)
		}
		pass(time.Second)
		if s := b.Status().Chunks; s.Saved != early+1 {
			t.Errorf("status counts %+v, want %d saved", s, early+1)
		}
		b.wantWork(b.ask(next("m1", 1)), early+1)
	})
}

// TestDuplicates: the status counts what all savers have dropped, also those that have ended, no matter which of them
// answers last.
func TestDuplicates(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		want := uint64(0)
		for _, step := range []struct {
			saver report.SaverLoad
			adds  uint64
		}{
			{report.SaverLoad{ID: "A", Duplicates: 3}, 3},
			{report.SaverLoad{ID: "B", Duplicates: 2}, 2},
			{report.SaverLoad{ID: "A", Duplicates: 4}, 1},
			{report.SaverLoad{ID: "A", Duplicates: 3}, 0}, // late
			{report.SaverLoad{ID: "C"}, 0},                // A was restarted
			{report.SaverLoad{ID: "C", Duplicates: 1}, 1},
		} {
			want += step.adds
			b.confirmAs(step.saver, b.sink.Key(), 0, chunk.Sum([]byte("0\n1\n")))
			pass(time.Second)
			if got := b.Status().Chunks.Duplicates; got != want {
				t.Errorf("after %+v the status has %d duplicates, want %d", step.saver, got, want)
			}
		}
	})
}

// TestSavedForged: a confirmation that is not signed with the job's key is not answered, and
// the chunk does not count as saved.
func TestSavedForged(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m1", 1)), 0)
		digest := chunk.Sum([]byte("0\n1\n"))
		for _, key := range [][]byte{nil, bytes.Repeat([]byte("x"), 32)} {
			if b.confirm(key, 0, digest) {
				t.Error("got an answer to a forged confirmation, want none")
			}
		}
		if s := b.Status().Chunks; s.Saved != 0 || s.InFlight != 1 {
			t.Errorf("status counts %+v, want nothing saved", s)
		}
		if !b.confirm(b.sink.Key(), 0, digest) {
			t.Error("no answer to a valid confirmation")
		}
		pass(time.Second)
		if s := b.Status(); s.Chunks.Saved != 1 || s.Mappers[0].Saved != 1 {
			t.Errorf("status is %+v, want a chunk saved, by the mapper", s)
		}
	})
}

// TestGoodbye: a mapper that says goodbye has lost the pieces that it still holds, and not one that was saved since the
// last report.
func TestGoodbye(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m1", 1)), 0)
		b.wantWork(b.ask(next("m2", 1)), 1)
		pass(time.Second) // for a report in which both hold a piece
		if !b.confirm(b.sink.Key(), 0, chunk.Sum([]byte("0\n1\n"))) {
			t.Error("no answer to a confirmation")
		}
		for _, id := range []string{"m1", "m2"} {
			goodbye := wire.Beat{Plan: b.Status().Plan, Mapper: report.Mapper{ID: id, Name: id, Transform: "users"}, Holding: wire.Holding{Seq: 2}, Goodbye: true}
			if err := b.peer.Publish(wire.VerbBeat, goodbye.Encode()); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Second)
		gone := map[string]int{}
		for _, m := range b.Status().Gone {
			gone[m.Name] = m.Lost
		}
		if len(gone) != 2 || gone["m1"] != 0 || gone["m2"] != 1 {
			t.Errorf("pieces lost with mappers: %v, want none with m1, whose piece is saved, and one with m2", gone)
		}
	})
}
