package fetcher_test

import (
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
)

// TestFullSink: while the saver has no space, that is the job's bottleneck. No mapper
// counts as slow, none gets a backup attempt, and no more mappers are wanted.
func TestFullSink(t *testing.T) {
	runWith(t, 400, func(c *fetcher.Config) { c.Speculate = true }, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(b.next("m1", 1)), 0)
		for id := range uint64(20) { // enough in flight for backup attempts
			b.ask(b.next("m2", id+1, ids(1, id)...))
		}
		b.play(func() {
			b.load = report.SaverLoad{Full: "sink folder out: no space left for the sink, 12 bytes are free in out"}
		})
		seq := uint64(30)
		hold := func(d time.Duration) {
			for ; d > 0; d -= 500 * time.Millisecond {
				seq++
				b.beat("m1", seq, nil, 0)
				b.beat("m2", seq, nil, ids(1, 20)...)
				pass(500 * time.Millisecond)
			}
		}
		hold(20 * time.Second)
		seq++
		waits := b.ask(b.next("m1", seq, 0))
		pass(time.Second)
		if w, ok := got(waits); !ok || only(w).Chunk.ID != 21 {
			t.Errorf("got %+v, want a fresh chunk", w)
		}
		s := b.Status()
		if s.Bottleneck == nil || s.Bottleneck.Cause != report.CauseFull || s.Bottleneck.Text != "sink is full: "+b.load.Full+": free some space, and the job continues" {
			t.Errorf("bottleneck %+v, want a full sink", s.Bottleneck)
		}
		if err := b.Ready(); err == nil || err.Error() != "sink is full: "+b.load.Full {
			t.Errorf("ready: %v, want a full sink", err)
		}
		if s.Chunks.Backups != 0 || len(s.Stragglers) != 0 || s.Wanted > 2 || s.ETASeconds != nil {
			t.Errorf("%d backup attempts, stragglers %v, %d mappers wanted; want none, and 2", s.Chunks.Backups, s.Stragglers, s.Wanted)
		}
		for _, m := range s.Mappers {
			if m.Slow {
				t.Errorf("mapper %s is marked as slow, want no slow mappers", m.Name)
			}
		}
		b.play(func() { b.load = report.SaverLoad{} })
		pass(time.Second)
		if s := b.Status(); s.Bottleneck != nil && s.Bottleneck.Cause == report.CauseFull || b.Ready() != nil || len(s.Stragglers) != 0 {
			t.Errorf("with space again: bottleneck %+v, ready %v, stragglers %v", s.Bottleneck, b.Ready(), s.Stragglers)
		}
	})
}

// ids returns n chunks from first on.
func ids(first chunk.ID, n uint64) (list []chunk.ID) {
	for i := range n {
		list = append(list, first+chunk.ID(i))
	}
	return list
}
