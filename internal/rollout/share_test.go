package rollout

import (
	"maps"
	"math"
	"testing"
	"time"
)

var start = time.Unix(1000, 0)

func idle() int { return 0 }

func TestShares_decode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want Shares // nil: an error
	}{
		{"", Shares{}},
		{"v2=0.25", Shares{"v2": 0.25}},
		{" v2=0.25, users?duration=1s=0 ,v3=1,", Shares{"v2": 0.25, "users?duration=1s": 0, "v3": 1}},
		{"v2", nil}, {"=1", nil}, {"v2=2", nil}, {"v2=-0.1", nil}, {"v2=x", nil}, {"v2=NaN", nil}, {"v2=", nil},
	} {
		var got Shares
		if err := got.Decode(c.text); (err != nil) != (c.want == nil) || c.want != nil && !maps.Equal(got, c.want) {
			t.Errorf("%q: %v, %v; want %v", c.text, got, err, c.want)
		}
	}
}

// TestShare: a limited version gets its share of the chunks and no more, from the
// first chunk on, however often it asks.
func TestShare(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{0, 0.05, 0.25, 0.5, 0.9, 1} {
		table := New(Config{Shares: Shares{"canary": share}})
		stable, _ := table.Add(start, "stable", nil)
		canary, _ := table.Add(start, "canary", nil)
		var all, some float64
		for range 4000 {
			for range 10 { // it is faster and always asks first
				if !table.Eligible(start, canary, idle) {
					break
				}
				table.Assigned(canary, 1)
				all, some = all+1, some+1
			}
			if !table.Eligible(start, stable, idle) {
				t.Fatalf("share %g: the version without a limit gets nothing", share)
			}
			table.Assigned(stable, 1)
			all++
			if over := some - share*all; over > 1.01 {
				t.Fatalf("share %g: got %g of the first %g chunks, %g too many", share, some, all, over)
			}
		}
		if got := some / all; share < 1 && math.Abs(got-share) > 0.01 || share == 1 && some != 40_000 {
			t.Errorf("share %g: got %g", share, got)
		}
	}
}

// TestShare_away: a version whose mappers were away does not catch up on what it missed.
func TestShare_away(t *testing.T) {
	t.Parallel()
	for share, most := range map[float64]int{0.05: 1, 0.25: 1, 0.5: 2, 0.9: 10} {
		table := New(Config{Shares: Shares{"canary": share}})
		stable, _ := table.Add(start, "stable", nil)
		canary, _ := table.Add(start, "canary", nil)
		for range 1000 {
			table.Assigned(stable, 1)
		}
		burst := 0
		for burst <= most && table.Eligible(start, canary, idle) {
			table.Assigned(canary, 1)
			burst++
		}
		if burst > most || burst == 0 {
			t.Errorf("share %g: %d chunks at once, want 1 to %d", share, burst, most)
		}
	}
}

// TestSetShare: a new share holds from the next chunk on, whatever the version had before.
func TestSetShare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		share            float64
		eligible, serves bool
	}{{0, false, false}, {0.25, false, true}, {0.5, true, true}, {1, true, true}} {
		table := New(Config{})
		v, _ := table.Add(start, "v2", nil)
		for range 100 {
			table.Assigned(v, 1)
		}
		v.SetShare(c.share)
		if e, s := table.Eligible(start, v, idle), table.Serves(v); e != c.eligible || s != c.serves || v.Share() != c.share {
			t.Errorf("share %g: eligible %t, serves %t; want %t, %t", c.share, e, s, c.eligible, c.serves)
		}
	}
}
