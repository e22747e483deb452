package fetcher_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/wire"
)

// confirm plays a saver that confirms chunk 0, and reports whether it was answered
// within a second.
func (b *bench) confirm(key []byte, digest chunk.Digest) bool {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	s := wire.Saved{
		Plan: b.Status().Plan, Epoch: b.Status().Epoch,
		Pieces: []wire.SavedPiece{{Entry: wire.Entry{ID: 0, Objects: 2, Of: 2, Digest: digest}, Mapper: "m1"}},
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
		b.confirm(b.sink.Key(), chunk.Sum([]byte("another\n")))
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

// TestSavedForged: a confirmation that is not signed with the job's key is not answered, and
// the chunk does not count as saved.
func TestSavedForged(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m1", 1)), 0)
		digest := chunk.Sum([]byte("0\n1\n"))
		for _, key := range [][]byte{nil, bytes.Repeat([]byte("x"), 32)} {
			if b.confirm(key, digest) {
				t.Error("got an answer to a forged confirmation, want none")
			}
		}
		if s := b.Status().Chunks; s.Saved != 0 || s.InFlight != 1 {
			t.Errorf("status counts %+v, want nothing saved", s)
		}
		if !b.confirm(b.sink.Key(), digest) {
			t.Error("no answer to a valid confirmation")
		}
		pass(time.Second)
		if s := b.Status(); s.Chunks.Saved != 1 || s.Mappers[0].Saved != 1 {
			t.Errorf("status is %+v, want a chunk saved, by the mapper", s)
		}
	})
}
