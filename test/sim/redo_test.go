package sim

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// Redo removes the pieces that a version made, and fences the version and the current fetcher, as
// sink.Folder's Redo does. It returns the pieces, ascending.
func (s *Sink) Redo(version string) (gone []chunk.Piece) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, of := range s.pieces {
		s.pieces[id] = slices.DeleteFunc(of, func(r sink.Result) bool {
			if r.Version == version {
				gone = append(gone, pieceOf(r))
			}
			return r.Version == version
		})
		if len(s.pieces[id]) == 0 {
			delete(s.pieces, id)
		}
	}
	if len(gone) > 0 {
		s.epoch++
		s.finished = false
		s.setTerm(version, s.terms[version]+1)
	}
	slices.SortFunc(gone, chunk.Piece.Compare)
	return gone
}

// each calls show with every result.
func (s *Sink) each(show func(sink.Result)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.pieces {
		for _, r := range of {
			show(r)
		}
	}
}

// A confirmation that arrives after its chunk was requeued, as from a saver's host that was cut
// off, has no effect. Otherwise the fetcher would never hand out the chunk, and the job would fail
// at its end.
func TestConfirmationFromBeforeRedo(t *testing.T) {
	run(t, 2, 1, func(t *testing.T, w *world) {
		var late []wire.Message
		w.tape.faults(func(p bustest.Packet) bustest.Fate {
			if verbOf(p) == wire.VerbSaved && !p.Reply && p.To == "f1" {
				late = append(late, p.Message)
			}
			return bustest.Fate{}
		})
		s, f := w.saver("saver"), w.fetcher("f1", nil)
		a := w.mapper("a", "users?duration=1s", nil)
		pass(1500 * time.Millisecond) // one of two chunks is saved
		a.crash()
		f.crash()
		s.crash()
		if gone := w.sink.Redo("v1"); len(gone) != 1 || len(late) != 1 {
			t.Fatalf("pieces %v are put back to work, %d confirmations; want one and one", gone, len(late))
		}
		w.saver("saver")
		f = w.fetcher("f2", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		old := bus.New(w.net.Connect("old saver"), job)
		defer old.Close()
		if _, err := old.Request(ctx, wire.VerbSaved, late[0]); err != nil {
			t.Errorf("the confirmation is not answered: %v", err)
		}
		w.mapper("b", "users", nil)
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		w.complete(2)
	})
}
