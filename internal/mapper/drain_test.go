package mapper_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// A drop order ends the work on that chunk of that plan, and on no other.
func TestDrop(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=10m", Workers: 2}, func(t *testing.T, b *bench) {
		for id := range chunk.ID(2) {
			r, _ := b.next()
			reply(t, r, work(id).Encode())
		}
		drop := wire.Order{Plan: chunk.Plan{Source: "b"}.ID(), Kind: wire.OrderDrop, Piece: chunk.Piece{Chunk: 0, To: 2}}
		if err := b.order(drop); err != nil {
			t.Fatal(err)
		}
		b.wantHeld(0, 1)
		drop.Plan = plan.ID()
		if err := b.order(drop); err != nil {
			t.Fatal(err)
		}
		if _, n := b.next(); !slices.Equal(n.Held, whole(1)) {
			t.Errorf("next request is %+v, want chunk 1 held, at once", n)
		}
		b.wantHeld(1)
	})
}

// An order to drain ends the mapper as SIGTERM does.
func TestDrainOrder(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 3, StopTimeout: time.Second}, func(t *testing.T, b *bench) {
		b.heard()
		if err := b.order(wire.Order{Plan: plan.ID(), Kind: wire.OrderDrain, Reason: "the job is done"}); err != nil {
			t.Fatal(err)
		}
		if err := <-b.done; err != nil {
			t.Errorf("Run returned %v after a drain", err)
		}
		if !strings.Contains(b.log.String(), `"reason":"the job is done","message":"the fetcher asks this mapper to end"`) {
			t.Errorf("the log has no reason: %s", b.log.String())
		}
		if beats := b.heard(); len(beats) == 0 || !beats[len(beats)-1].Goodbye {
			t.Errorf("beats %+v, want a goodbye as the last", beats)
		}
	})
}

// A chunk that is on its way to a mapper that stops is not wasted: the mapper
// says that it drains, takes what comes, and asks for no more.
func TestDrain_onItsWay(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=5s", Workers: 1, StopTimeout: time.Minute}, func(t *testing.T, b *bench) {
		r, n := b.next()
		b.heard()
		b.cancel()
		pass(0)
		if beats := b.heard(); len(beats) != 1 || !beats[0].Draining || beats[0].Goodbye || !slices.Equal(beats[0].Asking, []uint64{n.Seq}) {
			t.Fatalf("beats are %+v, want one that drains and lists its request", beats)
		}
		reply(t, r, work(0).Encode())
		r, _ = b.save()
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Statuses: []wire.SaveStatus{wire.SaveCommitted}}.Encode())
		if err := <-b.done; err != nil {
			t.Errorf("Run returned %v after a drain", err)
		}
		if beat := b.last(); !beat.Goodbye || len(beat.Asking) != 0 {
			t.Errorf("last beat is %+v, want a goodbye with nothing open", beat)
		}
	})
}
