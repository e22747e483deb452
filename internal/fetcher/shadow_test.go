package fetcher_test

import (
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/rollout"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestShadow: a shadow version gets only copies of saved chunks, and the job does not
// depend on its results.
func TestShadow(t *testing.T) {
	set := func(c *fetcher.Config) { c.Shadow = rollout.Shadow{Version: "v2", Share: 1} }
	runWith(t, 8, set, func(t *testing.T, b *bench) {
		stable, canary := &fakeMapper{b: b, mapper: "m1", version: "v1"}, &fakeMapper{b: b, mapper: "m2", version: "v2"}
		waits := canary.ask()
		if _, ok := got(waits); ok {
			t.Fatal("the shadow got a chunk that is not saved")
		}
		pass(300 * time.Millisecond)
		if s := b.Status(); s.Waiting != 0 || s.Bottleneck == nil || s.Bottleneck.Cause != report.CauseNoMappers {
			t.Errorf("waiting %d, bottleneck %+v; want no mapper at work", s.Waiting, s.Bottleneck)
		}
		w, _ := got(stable.ask())
		stable.saved(w, 0)
		copied, ok := got(waits)
		if !ok || !copied.Shadow || only(copied).Chunk.ID != only(w).Chunk.ID || string(only(copied).Chunk.Body) != string(only(w).Chunk.Body) || only(copied).Token != only(w).Token {
			t.Fatalf("got %+v, want a copy of chunk %d", copied, only(w).Chunk.ID)
		}
		pass(300 * time.Millisecond)
		if s := b.Status(); s.Chunks.InFlight != 0 || s.Chunks.Saved != 1 || s.Shadow == nil || s.Shadow.HandedOut != 1 {
			t.Errorf("chunks %+v, shadow %+v", s.Chunks, s.Shadow)
		}
		for _, other := range []wire.Control{{Action: wire.ControlShadow, Version: "v3"}, {Action: wire.ControlShadow, Version: "v3", Share: 1}} {
			if err := b.Control(t.Context(), other); err == nil { // v2 would get chunks to save
				t.Errorf("%+v was accepted while v2 shadows, want it refused", other)
			}
		}
		if err := b.Control(t.Context(), wire.Control{Action: wire.ControlShadow}); err != nil {
			t.Fatal(err)
		}
		if w, ok := got(canary.ask()); !ok || w.Shadow {
			t.Error("got no chunk after the shadow run")
		}
		for _, wrong := range []wire.Control{{Action: wire.ControlShadow, Share: 0.5}, {Action: wire.ControlShadow, Version: "v2", Share: 2}} {
			if err := b.Control(t.Context(), wrong); err == nil {
				t.Errorf("%+v was accepted, want it refused", wrong)
			}
		}
	})
}
