package fetcher_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestShadow: a version that shadows gets copies of what is saved, and nothing
// else; the job does not notice whether it brings anything back.
func TestShadow(t *testing.T) {
	set := func(c *fetcher.Config) { c.Shadow = fetcher.ShadowRun{Version: "v2", Share: 1} }
	runWith(t, 8, set, func(t *testing.T, b *bench) {
		stable, canary := &crew{b: b, mapper: "m1", version: "v1"}, &crew{b: b, mapper: "m2", version: "v2"}
		waits := canary.ask()
		if _, ok := got(waits); ok {
			t.Fatal("it got a chunk that is not saved")
		}
		pass(300 * time.Millisecond)
		if s := b.Status(); s.Waiting != 0 || s.HeldBack == nil || s.HeldBack.By != report.ByNoMappers {
			t.Errorf("waiting %d, held back by %+v; want nobody at work", s.Waiting, s.HeldBack)
		}
		w, _ := got(stable.ask())
		stable.saved(w, 0)
		copied, ok := got(waits)
		if !ok || !copied.Shadow || copied.Chunk.ID != w.Chunk.ID || string(copied.Chunk.Body) != string(w.Chunk.Body) || copied.Token != w.Token {
			t.Fatalf("got %+v, want a copy of chunk %d", copied, w.Chunk.ID)
		}
		pass(300 * time.Millisecond)
		if s := b.Status(); s.Chunks.InFlight != 0 || s.Chunks.Saved != 1 || s.Shadow == nil || s.Shadow.HandedOut != 1 {
			t.Errorf("chunks %+v, shadow %+v", s.Chunks, s.Shadow)
		}
		for _, other := range []wire.Control{{Action: wire.ControlShadow, Version: "v3"}, {Action: wire.ControlShadow, Version: "v3", Share: 1}} {
			if err := b.Control(t.Context(), other); err == nil { // it would let v2 have chunks to be saved
				t.Errorf("%+v is obeyed while v2 shadows", other)
			}
		}
		if err := b.Control(t.Context(), wire.Control{Action: wire.ControlShadow}); err != nil {
			t.Fatal(err)
		}
		if w, ok := got(canary.ask()); !ok || w.Shadow {
			t.Error("after the shadow run it gets nothing to do")
		}
		for _, wrong := range []wire.Control{{Action: wire.ControlShadow, Share: 0.5}, {Action: wire.ControlShadow, Version: "v2", Share: 2}} {
			if err := b.Control(t.Context(), wrong); err == nil {
				t.Errorf("%+v is obeyed", wrong)
			}
		}
	})
}

// TestSampled: the share of the chunks that are copied is what was asked for, and
// spread over the job.
func TestSampled(t *testing.T) {
	t.Parallel()
	const n = 10_000
	for _, share := range []float64{0, 0.01, 0.05, 0.5, 0.99, 1} {
		count, longest, gap := 0, 0, 0
		for id := range chunk.ID(n) {
			gap++
			if fetcher.Sampled(id, share) {
				count, gap = count+1, 0
			}
			longest = max(longest, gap)
		}
		if got := float64(count) / n; math.Abs(got-share) > 0.002 || share > 0 && float64(longest) > 4/share {
			t.Errorf("share %g: %g of the chunks, and none among %d", share, got, longest)
		}
	}
}

// TestShadow_begins: of a name that ends with * all are shadows whose names begin
// so, and nobody else; a lone * is a name like any other.
func TestShadow_begins(t *testing.T) {
	for _, c := range []struct {
		run, version string
		shadows      bool
	}{
		{"shadow-*", "shadow-7", true}, {"shadow-*", "shadow-", true}, {"shadow-*", "shadow", false}, {"shadow-*", "7-shadow-7", false},
		{"v2", "v2*", false}, {"*", "v2", false},
	} {
		t.Run(c.run+" "+c.version, func(t *testing.T) {
			set := func(config *fetcher.Config) { config.Shadow = fetcher.ShadowRun{Version: c.run, Share: 1} }
			runWith(t, 8, set, func(t *testing.T, b *bench) {
				stable, other := &crew{b: b, mapper: "m1", version: "v1"}, &crew{b: b, mapper: "m2", version: c.version}
				w, _ := got(stable.ask())
				stable.saved(w, 0)
				if w, ok := got(other.ask()); !ok || w.Shadow != c.shadows {
					t.Errorf("got %+v, %v; want a copy: %v", w, ok, c.shadows)
				}
			})
		})
	}
}

func TestShadowRun_decode(t *testing.T) {
	t.Parallel()
	var s fetcher.ShadowRun
	if err := s.Decode("v2=0.05"); err != nil || s != (fetcher.ShadowRun{Version: "v2", Share: 0.05}) {
		t.Errorf("%+v, %v", s, err)
	}
	wrong := []string{"v2", "v2=1.1", "v1=0.1,v2=0.1"}
	if i := slices.IndexFunc(wrong, func(text string) bool { return s.Decode(text) == nil }); i >= 0 {
		t.Errorf("%q is accepted", wrong[i])
	}
}
