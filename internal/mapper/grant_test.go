package mapper_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// grant is several chunks of two users in one answer.
func grant(ids ...chunk.ID) wire.Work {
	w := work(ids[0])
	for _, id := range ids[1:] {
		w.Grant = append(w.Grant, work(id).Grant...)
	}
	return w
}

func statuses(s ...wire.SaveStatus) wire.Message {
	return wire.SaveAnswer{Plan: plan.ID(), Statuses: s}.Encode()
}

// The results of a grant travel together. Each piece is held until its own result is saved or refused,
// and the message is sent until all are.
func TestGrant(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, n := b.next()
		if n.Pace != 0 {
			t.Errorf("the first request has a pace of %s, want none", n.Pace)
		}
		reply(t, r, grant(3, 4, 9).Encode())
		r, s := b.saveAll()
		if len(s.Results) != 3 || s.Results[1].Chunk != 4 || s.Results[1].First != 8 || s.Mapper.Version != "v1" || s.Epoch != 3 {
			t.Fatalf("got %+v, want the results of chunks 3, 4 and 9", s)
		}
		b.wantHeld(3, 4, 9)
		reply(t, r, statuses(wire.SaveCommitted, wire.SaveBusy, wire.SaveRefused))
		b.wantHeld(4)
		r, s = b.saveAll()
		if len(s.Results) != 3 {
			t.Errorf("%d results are sent again, want the same message", len(s.Results))
		}
		reply(t, r, statuses(wire.SaveDuplicate, wire.SaveBusy, wire.SaveRefused))
		b.wantHeld(4)
		r, _ = b.saveAll()
		reply(t, r, statuses(wire.SaveDuplicate, wire.SaveCommitted)) // too short: a result without a status is sent again, and a status that arrived earlier stays
		b.wantHeld()
		if len(b.saves) > 0 {
			t.Error("a message is sent again although all its results have a status")
		}
	})
}

// A result whose status is not in the answer is sent again.
func TestGrant_shortAnswer(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, grant(0, 1, 2).Encode())
		r, _ = b.saveAll()
		reply(t, r, statuses(wire.SaveCommitted, wire.SaveCommitted))
		b.wantHeld(2)
		r, _ = b.saveAll()
		reply(t, r, statuses(wire.SaveDuplicate)) // one status stands for all
		b.wantHeld()
	})
}

// A grant that takes much longer than the fetcher thought: what is finished is sent, and what
// was not begun goes to others.
func TestGrant_slow(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=1600ms", Workers: 1}, func(t *testing.T, b *bench) { // a chunk of two objects
		r, _ := b.next()
		begin := time.Now()
		reply(t, r, grant(0, 1, 2, 3).Encode())
		r, s := b.saveAll()
		if took := time.Since(begin); took != 2*time.Second || len(s.Results) != 1 || s.Results[0].Chunk != 0 {
			t.Errorf("got the first message after %s with %+v, want chunk 0 after 2s", took, s.Results)
		}
		reply(t, r, statuses(wire.SaveCommitted))
		r, s = b.saveAll()
		if took := time.Since(begin); took != 3200*time.Millisecond || len(s.Results) != 1 || s.Results[0].Chunk != 1 {
			t.Errorf("got the second message after %s with %+v, want chunk 1, which was being mapped, after 3.2s", took, s.Results)
		}
		reply(t, r, statuses(wire.SaveCommitted))
		_, n := b.next()
		if !slices.Equal(n.Held, whole(1)) {
			t.Errorf("holds %v while chunk 1 is on its way, want chunks 2 and 3 given back", n.Held)
		}
		if n.Pace != 800*time.Millisecond {
			t.Errorf("the request has a pace of %s an object, want 800ms", n.Pace)
		}
		pass(time.Minute)
		if len(b.saves) > 0 {
			t.Error("a chunk that was given back is saved")
		}
	})
}

// A piece that is dropped while its result is on its way does not hold up the others of the
// message, and they do not hold it.
func TestGrant_drop(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, grant(0, 1).Encode())
		b.saveAll() // no answer
		if err := b.order(wire.Order{Plan: plan.ID(), Kind: wire.OrderDrop, Piece: chunk.Piece{Chunk: 0, To: 2}}); err != nil {
			t.Fatal(err)
		}
		r, _ = b.saveAll()
		b.wantHeld(1)
		reply(t, r, statuses(wire.SaveDuplicate, wire.SaveBusy))
		b.wantHeld(1)
		if err := b.order(wire.Order{Plan: plan.ID(), Kind: wire.OrderDrop, Piece: chunk.Piece{Chunk: 1, To: 2}}); err != nil {
			t.Fatal(err)
		}
		b.wantHeld()
	})
}

// A piece from the middle of a chunk: indexes count within the chunk, ordinals within the source.
func TestPiece(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		w := work(0)
		g := &w.Grant[0]
		g.From, g.Of, g.Chunk.First, g.Careful = 40, 100, 1040, true
		g.Chunk.Bad = []chunk.Flaw{{Index: 41, Reason: "no JSON"}}
		b.heard()
		reply(t, r, w.Encode())
		_, s := b.save()
		letter, err := chunk.ParseDeadLetter(s.Dead)
		if err != nil || letter.Ordinal != 1041 || s.From != 40 || s.Of != 100 || s.First != 1040 || s.Objects != 2 || !slices.Equal(s.Counts, []int{1, 0}) {
			t.Errorf("result %+v with dead letter %+v, %v", s.Result, letter, err)
		}
		var doing []int
		for _, beat := range b.heard() {
			if beat.Doing != nil {
				doing = append(doing, beat.Doing.Index)
			}
		}
		if !slices.Equal(doing, []int{40, 42}) {
			t.Errorf("got announcements of objects %v, want 40, and 42 for the end", doing)
		}
		if held := b.last().Held; !slices.Equal(held, []chunk.Piece{{From: 40, To: 42}}) {
			t.Errorf("holds %v", held)
		}
	})
}

// Results that are large travel before the whole grant is mapped.
func TestGrant_large(t *testing.T) {
	run(t, mapper.Config{Transform: "identity", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		w := bigWork(0, 200<<10)
		for id := range chunk.ID(3) {
			w.Grant = append(w.Grant, bigWork(id+1, 200<<10).Grant...)
		}
		reply(t, r, w.Encode())
		for range 2 {
			r, s := b.saveAll()
			if len(s.Results) != 2 || !bytes.HasPrefix(s.Results[1].Outputs, []byte(`"xxx`)) {
				t.Errorf("%d results in one message, want two", len(s.Results))
			}
			reply(t, r, statuses(wire.SaveCommitted))
		}
		b.wantHeld()
	})
}

// A mapper without a transform of its own holds nothing of a grant.
func TestGrant_withoutTransform(t *testing.T) {
	run(t, mapper.Config{Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, grant(0, 1).Encode())
		b.wantHeld()
		if strings.Contains(b.log.String(), "panic") || len(b.saves) > 0 {
			t.Error("a mapper without a transform mapped a grant")
		}
	})
}
