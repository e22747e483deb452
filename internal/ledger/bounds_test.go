package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// TestMemoryIsBounded: a ledger keeps no more early pieces, departed mappers and durations
// than its limits allow.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l := New(testConfig)
	now := time.Unix(0, 0)
	held := make([]chunk.Piece, maxEarly+10)
	for i := range held {
		held[i] = chunk.Piece{Chunk: chunk.ID(i/2 + 1), From: i % 2, To: i%2 + 1}
	}
	l.Hear(now, Report{Mapper: "m", Seq: 1, Held: held})
	if got := l.early.count; got != maxEarly {
		t.Errorf("%d early pieces are kept, want %d", got, maxEarly)
	}
	for i := range maxDeparted + 10 {
		name := fmt.Sprint("departed", i)
		l.Hear(now, Report{Mapper: name, Seq: 2})
		l.Vanish(name)
	}
	if !l.Hear(now, Report{Mapper: fmt.Sprint("departed", maxDeparted), Seq: 1}).Stale {
		t.Error("a stale report brought back a mapper that is gone")
	}
	for range 2 * spanDurations {
		id := l.Add(now, 10)
		l.Hear(now, Report{Mapper: "n", Seq: uint64(id) + 1, Asking: []uint64{uint64(id) + 1}})
		if _, ok := l.Lease(now, "n", uint64(id)+1, 0, 0); !ok && len(l.open) == 0 {
			t.Fatalf("no chunk for a mapper that asks, although %d are added", id+1)
		}
		l.Saved(now, chunk.Whole(id, 10), "")
	}
	if err := l.check(); err != nil {
		t.Error(err)
	}
}

// TestMedianFollows: the median follows a change within spanDurations durations.
func TestMedianFollows(t *testing.T) {
	t.Parallel()
	var d durations
	for range spanDurations {
		d.add(time.Second)
	}
	if d.median != time.Second {
		t.Errorf("median of equal durations is %s, want 1s", d.median)
	}
	for range spanDurations {
		d.add(time.Minute)
	}
	if d.median != time.Minute {
		t.Errorf("median after %d longer ones is %s, want 1m", spanDurations, d.median)
	}
}
