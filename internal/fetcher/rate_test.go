package fetcher_test

import (
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
)

// A rate so low that its pause fits no Duration is a long pause, and not none.
func TestLowestRate(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		order := wire.Control{Action: wire.ControlRate, Rate: 1e-300}
		if _, err := b.peer.Request(t.Context(), wire.VerbControl, order.Encode()); err != nil {
			t.Fatal(err)
		}
		b.wantWork(b.ask(next("m1", 1)), 0)
		waits := b.ask(next("m2", 1))
		pass(time.Second)
		select {
		case w := <-waits:
			t.Errorf("the next chunk came at once: %+v", w)
		default:
		}
		if s := b.Status(); s.Chunks.InFlight != 1 {
			t.Errorf("%d chunks in flight, want 1", s.Chunks.InFlight)
		}
	})
}
