package fetcher

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

func newVersions(cfg Config, names ...string) (*desk, []*version) {
	d := &desk{f: &Fetcher{cfg: cfg}, versions: map[string]*version{}, mappers: map[string]*mapper{}}
	var list []*version
	for _, name := range names {
		list = append(list, d.versionOf(time.Unix(1000, 0), name))
	}
	return d, list
}

// TestShares: whoever asks how often, a limited version gets its share of the
// chunks and no more, from the first one on.
func TestShares(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	idle := func() int { return 0 }
	for _, share := range []float64{0, 0.05, 0.25, 0.5, 0.9, 1} {
		d, list := newVersions(Config{VersionShares: Shares{"canary": share}}, "stable", "canary")
		stable, canary := list[0], list[1]
		for range 4000 {
			for range 10 { // it is much faster, and always there first
				if !canary.mayHave(now, idle) {
					break
				}
				d.given(canary)
			}
			d.given(stable)
			all := stable.handed + canary.handed
			if over := float64(canary.handed) - share*float64(all); share < 1 && over > 1.01 {
				t.Fatalf("share %g: %d of the first %d chunks, that is %g too many", share, canary.handed, all, over)
			}
		}
		all := stable.handed + canary.handed
		if got := float64(canary.handed) / float64(all); share < 1 && math.Abs(got-share) > 0.01 {
			t.Errorf("share %g: got %g", share, got)
		}
	}
}

// TestBreaker: a version is cut off when too much fails, gets one chunk at a time to prove
// itself, rests longer each time that fails, and is back when it has.
func TestBreaker(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	good, bad, some := result{objects: 100}, result{objects: 100, dead: 100}, result{objects: 100, dead: 10}
	_, list := newVersions(Config{}, "v")
	v := list[0]
	held := 0
	holds := func() int { return held }
	const rest = 30 * time.Second
	report := func(r result) bool {
		share, cutOff := v.finished(now, r, 0.2, rest)
		if cutOff && share <= 0.2 {
			t.Errorf("cut off for a share of %g", share)
		}
		return cutOff
	}

	for range 50 {
		if report(some) {
			t.Fatal("cut off at a tenth of failures, the limit is a fifth")
		}
	}
	for i := range 20 {
		if report(bad) {
			if i < 2 || i > 4 { // 20 outcomes with 10 % and i with 100 %
				t.Errorf("cut off after %d bad chunks", i+1)
			}
			break
		}
		if i == 19 {
			t.Fatal("20 bad chunks, and it is not cut off")
		}
	}
	for i := range 8 {
		want := rest << min(i, maxRests)
		if got := v.until.Sub(now); got != want {
			t.Errorf("rest %d is %s, want %s", i, got, want)
		}
		now = now.Add(want - 1)
		if v.mayHave(now, holds) || report(good) || report(bad) || v.until.IsZero() {
			t.Fatal("while it rests it gets nothing, and what it did before does not count")
		}
		now = now.Add(1)
		held = 1
		if v.mayHave(now, holds) {
			t.Fatal("a second chunk while one is on probe")
		}
		held = 0
		if !v.mayHave(now, holds) {
			t.Fatal("no probe when it is due")
		}
		if !report(bad) {
			t.Fatal("a probe that failed is not noticed")
		}
	}
	now = v.until
	if report(good) || !v.until.IsZero() || !v.mayHave(now, func() int { return 7 }) {
		t.Error("a probe that went well does not bring it back")
	}
	for i := range leastOutcomes - 1 {
		if report(bad) {
			t.Errorf("cut off after %d chunks: too few to judge", i+1)
		}
	}
	if !report(bad) || v.until.Sub(now) != rest {
		t.Errorf("cut off until %s, want again %s from now", v.until, rest)
	}
}

// TestBreaker_off: without a limit nothing is cut off.
func TestBreaker_off(t *testing.T) {
	t.Parallel()
	_, list := newVersions(Config{}, "v")
	for range 100 {
		if _, cutOff := list[0].finished(time.Unix(1000, 0), result{objects: 1, dead: 1}, 0, 0); cutOff {
			t.Fatal("cut off though BREAK_AT is 0")
		}
	}
}

// TestManyVersions: the names come from mappers, so there is room for so many
// only; those that count are kept.
func TestManyVersions(t *testing.T) {
	t.Parallel()
	d, list := newVersions(Config{VersionShares: Shares{"limited": 0.5}}, "limited", "cut", "here")
	list[1].until = time.Unix(2000, 0)
	d.mappers["m"] = &mapper{of: list[2]}
	for i := range 3 * maxVersions {
		d.versionOf(time.Unix(1000+int64(i), 0), fmt.Sprint("v", i))
	}
	if len(d.versions) != maxVersions {
		t.Errorf("%d versions are remembered, want %d", len(d.versions), maxVersions)
	}
	for i, name := range []string{"limited", "cut", "here"} {
		if d.versions[name] != list[i] {
			t.Errorf("version %s is forgotten", name)
		}
	}
}

func TestShares_decode(t *testing.T) {
	t.Parallel()
	var s Shares
	if err := s.Decode(" v2=0.25, users?duration=1s=0 ,"); err != nil || len(s) != 2 || s["v2"] != 0.25 || s["users?duration=1s"] != 0 {
		t.Errorf("%v, %v", s, err)
	}
	wrong := []string{"v2", "=1", "v2=2", "v2=-0.1", "v2=x", "v2=NaN", "v2="}
	if i := slices.IndexFunc(wrong, func(text string) bool { return s.Decode(text) == nil }); i >= 0 {
		t.Errorf("%q is accepted", wrong[i])
	}
}
