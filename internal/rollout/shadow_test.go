package rollout

import (
	"math"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
)

func TestShadow_decode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*Shadow{
		"v2=0.05": {Version: "v2", Share: 0.05}, "shadow-*=1": {Version: "shadow-*", Share: 1}, "": {},
		"v2": nil, "v2=1.1": nil, "v1=0.1,v2=0.1": nil,
	} {
		got := Shadow{Version: "before", Share: 0.5}
		if err := got.Decode(text); (err != nil) != (want == nil) || want != nil && got != *want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

// TestShadow_covers: a shadow gets no work to be saved, whatever its share and
// breaker say, and every other version does.
func TestShadow_covers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shadow, version string
		covers          bool
	}{
		{"shadow-*", "shadow-7", true}, {"shadow-*", "shadow-", true}, {"shadow-*", "shadow", false}, {"shadow-*", "7-shadow-7", false},
		{"v2", "v2", true}, {"v2", "v2*", false}, {"v2", "v1", false}, {"*", "v2", false}, {"*", "*", true}, {"", "", false}, {"", "v2", false},
	} {
		table := New(Config{Shadow: Shadow{Version: c.shadow, Share: 1}})
		v, _ := table.Add(start, c.version, nil)
		if got := table.Shadow.Covers(c.version); got != c.covers || table.Eligible(start, v, idle) == c.covers || table.Serves(v) == c.covers {
			t.Errorf("shadow %q, version %q: covered %t, want %t, and work only if not", c.shadow, c.version, got, c.covers)
		}
	}
}

// TestSamples: as many chunks are sampled as the share says, spread over the job.
func TestSamples(t *testing.T) {
	t.Parallel()
	const n = 10_000
	for _, share := range []float64{0, 0.01, 0.05, 0.5, 0.99, 1} {
		s := Shadow{Version: "v2", Share: share}
		count, longest, gap := 0, 0, 0
		for id := range chunk.ID(n) {
			gap++
			if s.Samples(id) {
				count, gap = count+1, 0
			}
			longest = max(longest, gap)
		}
		if got := float64(count) / n; math.Abs(got-share) > 0.002 || share > 0 && float64(longest) > 4/share {
			t.Errorf("share %g: %g of the chunks, and none among %d", share, got, longest)
		}
	}
	if (Shadow{Share: 1}).Samples(0) {
		t.Error("a chunk is sampled without a shadow")
	}
}
