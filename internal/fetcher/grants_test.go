package fetcher_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// at returns a request of a mapper with a pace, which holds pieces.
func (b *bench) at(pace time.Duration, mapper string, seq uint64, held ...chunk.Piece) wire.Next {
	n := next(mapper, seq)
	n.Plan, n.Pace, n.Grain, n.Held = b.Status().Plan, pace, 1, held
	return n
}

// grant sends a request and returns the answer, which must arrive at once.
func (b *bench) grant(n wire.Next) wire.Work {
	b.t.Helper()
	w, ok := got(b.ask(n))
	if !ok || w.Status != wire.WorkGrant {
		b.t.Fatalf("got %+v, want a grant", w)
	}
	return w
}

func (b *bench) wantGrant(n wire.Next, want ...string) wire.Work {
	b.t.Helper()
	w := b.grant(n)
	if got := pieces(w); !slices.Equal(got, want) {
		b.t.Errorf("got %q, want %q", got, want)
	}
	return w
}

// TestGrant_quick: a grant of quick work has several chunks. Pieces that the mapper does not
// list later are redelivered, and a piece of a vanished mapper is alone in its grant.
func TestGrant_quick(t *testing.T) {
	run(t, 20, func(_ *testing.T, b *bench) {
		b.wantGrant(b.at(5*time.Millisecond, "m3", 1), "0[0,2) attempt 1", "1[0,2) attempt 1", "2[0,2) attempt 1")
		b.beat("m3", 2, nil, 0, 2)
		pass(300 * time.Millisecond)
		b.wantGrant(b.at(5*time.Millisecond, "m2", 1), "1[0,2) attempt 1", "3[0,2) attempt 1", "4[0,2) attempt 1")
		for seq := uint64(2); seq < 8; seq++ { // m3 is not connected
			b.beat("m2", seq, nil, 1, 3, 4)
			pass(time.Second)
		}
		b.wantGrant(b.at(5*time.Millisecond, "m2", 9, wholes(1, 3, 4)...), "0[0,2) attempt 2")
		b.wantGrant(b.at(5*time.Millisecond, "m2", 10, wholes(0, 1, 3, 4)...), "2[0,2) attempt 2")
	})
}

// TestGrantGivenBack: the answer with a grant is lost. When the mapper's next list has neither the request nor the piece,
// the piece is granted within 60 ms to a mapper that waits, as the same attempt.
func TestGrantGivenBack(t *testing.T) {
	run(t, 2, func(t *testing.T, b *bench) {
		b.net.SetHook(func(p bustest.Packet) bustest.Fate { return bustest.Fate{Drop: p.From == "fetcher" && p.Reply} })
		if w, ok := got(b.ask(next("m1", 1))); ok {
			t.Fatalf("got %+v, want the answer lost", w)
		}
		b.net.SetHook(nil)
		waits := b.ask(next("m2", 1))
		if w, ok := got(waits); ok {
			t.Fatalf("got %+v, want no grant while m1 may have the only piece", w)
		}
		b.beat("m1", 2, nil)
		pass(60 * time.Millisecond) // the fetcher waits for a confirmation for 50 ms, then asks the saver
		b.wantWork(waits, 0)
		pass(300 * time.Millisecond) // until the status is computed again
		if s := b.Status().Chunks; s.InFlight != 1 || s.Redelivered != 1 {
			t.Errorf("status counts %+v, want one chunk in flight, redelivered once", s)
		}
	})
}

// TestGrant_slow: a piece of slow work is a part of a chunk. A chunk is saved when all of its pieces are.
func TestGrant_slow(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		first := b.wantGrant(b.at(10*time.Second, "m1", 1), "0[0,1) attempt 1")
		second := b.wantGrant(b.at(10*time.Second, "m2", 1), "0[1,2) attempt 1")
		if g := second.Grant[0]; g.From != 1 || g.Of != 2 || g.Chunk.First != 1 || string(g.Chunk.Body) != "1\n" || g.Digest != first.Grant[0].Digest {
			t.Errorf("the second piece is %+v", g)
		}
		b.confirmed(first.Grant[0], "m1")
		if s := b.Status().Chunks; s.Saved != 0 || s.InFlight != 1 {
			t.Errorf("%+v, want no chunk saved yet", s)
		}
		b.confirmed(second.Grant[0], "m2")
		if s := b.Status().Chunks; s.Saved != 1 || s.InFlight != 0 {
			t.Errorf("%+v, want chunk 0 saved", s)
		}
	})
}

// confirmed plays the saver, which confirms a saved piece.
func (b *bench) confirmed(g wire.Granted, mapper string) {
	b.t.Helper()
	entry := wire.Entry{ID: g.Chunk.ID, From: g.From, Objects: g.Chunk.Count, Of: g.Of, Digest: g.Digest}
	saved := wire.Saved{Plan: b.Status().Plan, Epoch: b.sink.Epoch(), Pieces: []wire.SavedPiece{{Entry: entry, Mapper: mapper}}}
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	if _, err := b.peer.Request(ctx, wire.VerbSaved, saved.Encode(b.sink.Key())); err != nil {
		b.t.Errorf("no answer to a confirmation: %v", err)
	}
	pass(300 * time.Millisecond)
}

// TestGrant_cutAnew: when a late result of an earlier cut is saved, the leases that overlap
// it end, and only the other objects are handed out again.
func TestGrant_cutAnew(t *testing.T) {
	run(t, 2, func(t *testing.T, b *bench) {
		old := b.wantGrant(next("m3", 1), "0[0,2) attempt 1").Grant[0]
		b.beat("m3", 2, nil) // the grant was lost, so it does not list the piece
		pass(300 * time.Millisecond)
		b.wantGrant(b.at(10*time.Second, "m2", 1), "0[0,1) attempt 1")
		b.confirmed(old, "m3")
		if s := b.Status().Chunks; s.Saved != 1 || s.InFlight != 0 {
			t.Errorf("%+v, want the chunk saved", s)
		}
	})
}

// TestGrant_savedInPart: a restarted fetcher hands out only the objects of a chunk that the sink lacks.
func TestGrant_savedInPart(t *testing.T) {
	before := func(b *bench) {
		half := sink.Result{Chunk: 1, First: 2, Objects: 1, Of: 2, Digest: chunk.Sum([]byte("2\n3\n")), Counts: []int{0}}
		if _, err := b.sink.Commit(t.Context(), []sink.Result{half}); err != nil {
			t.Fatal(err)
		}
		b.summary.Objects = 1
	}
	runAfter(t, 4, before, func(*fetcher.Config) {}, func(_ *testing.T, b *bench) {
		b.wantGrant(b.at(time.Millisecond, "m1", 1), "1[1,2) attempt 1", "0[0,2) attempt 1")
	})
}

// TestCareful_unheard: a careful piece does not wait for a proven mapper that answers pings, but whose
// reports are ignored because a client has sent one in its name with a very large number.
func TestCareful_unheard(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		b.confirmed(b.wantGrant(next("m1", 1), "0[0,2) attempt 1").Grant[0], "m1")
		b.beat("m1", 1<<62, nil)
		for _, vanishing := range []string{"m3", "m4"} { // neither is connected, and both vanish with chunk 1
			b.grant(next(vanishing, 1))
			for range 5 {
				b.beat("m1", 2, nil)
				pass(time.Second)
			}
		}
		answer := b.ask(next("m2", 1))
		pass(4 * time.Second)
		if w, ok := got(answer); !ok || w.Status != wire.WorkGrant || !w.Grant[0].Careful {
			t.Errorf("got %+v, want chunk 1 in careful mode", w)
		}
	})
}

// TestDead_overlap: the saver refuses dead letters of a piece if a late result has some of its
// objects. The job goes on, and the rest of the piece is saved as dead letters.
func TestDead_overlap(t *testing.T) {
	runWith(t, 2, func(c *fetcher.Config) { c.MaxAttempts = 1 }, func(t *testing.T, b *bench) {
		var saves []chunk.Piece
		stop, err := b.peer.Serve(bus.Service{Name: "saves", Version: "1.0.0", Endpoints: []bus.Endpoint{{Verb: wire.VerbSave, Handle: func(r *bus.Request) {
			s, err := wire.DecodeSave(r.Message)
			if err != nil {
				t.Errorf("save: %v", err)
				return
			}
			saves = append(saves, s.Results[0].Piece())
			status := wire.SaveCommitted
			if len(saves) == 1 { // a late result was saved before
				half := sink.Result{Chunk: 0, Objects: 1, Of: 2, Digest: s.Results[0].Digest, Counts: []int{0}}
				if _, err := b.sink.Commit(context.Background(), []sink.Result{half}); err != nil {
					t.Error(err)
				}
				status = wire.SaveRefused
			}
			b.reply(r, wire.SaveAnswer{Plan: s.Plan, Statuses: []wire.SaveStatus{status}, Reason: "overlap"}.Encode())
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stop(context.Background()) }()
		for _, vanishing := range []string{"m3", "m4", "m5"} { // none of them is connected
			b.grant(next(vanishing, 1))
			pass(5 * time.Second)
		}
		if want := []chunk.Piece{{From: 0, To: 2}, {From: 1, To: 2}}; !slices.Equal(saves, want) || b.ended() != nil {
			t.Errorf("dead letters of %v were sent and the job ended with %v, want %v and no end yet", saves, b.ended(), want)
		}
	})
}
