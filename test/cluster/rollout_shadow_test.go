//go:build cluster && full

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

// TestRollout_shadow: a shadow run before the canary stops a release that fails, and one
// that is fast and never fails but maps some objects differently, before they get a chunk.
func TestRollout_shadow(t *testing.T) {
	parallel(t, 370, 350)
	l := emptyLab(t)
	l.apply("drills/rollout-shadow", 0, fmt.Sprintf("OBJECTS=%d", rolloutObjects), "RATE=200")
	works := l.rolledOut("the first release to be there", "Healthy").Status.StableRS
	l.job("the first release to work alone", onlyAtWork(works, 4))

	v3 := l.refused("v3", works, `Metric "different-objects" assessed Failed`)
	if v3.HandedOut > 0 {
		t.Errorf("the canary of v3, whose shadow failed, was handed %d chunks", v3.HandedOut)
	}
	l.takeBack(works)
	wrong := l.refused("wrong", works, `Metric "different-objects" assessed Failed`)
	if wrong.HandedOut > 0 {
		t.Errorf("the canary of a release that the shadow run stopped was handed %d chunks", wrong.HandedOut)
	}
	found := l.shadows()
	var bad []string // the versions of the two shadows
	for _, v := range found.Versions {
		bad = append(bad, v.Version)
		if v.Different == 0 || len(bad) > 1 && v.Failed > 0 {
			t.Errorf("found %+v, want objects that differ, and of the second release none that failed", v)
		}
	}
	if len(bad) != 2 || len(found.Differences) == 0 {
		t.Fatalf("found %+v, want two releases and their differences", found)
	}
	l.takeBack(works)

	v5 := l.promoted("v5")
	l.goesOn(v5)
	for _, v := range l.shadows().Versions {
		if !slices.Contains(bad, v.Version) && (v.Objects < 1000 || v.Different > 0) {
			t.Errorf("v5 shadowed with %+v, want 1,000 objects compared and none different", v)
		}
	}
	for _, v := range l.job("a status", func(report.Status) bool { return true }).Versions {
		if strings.HasPrefix(v.Version, "shadow-") && v.HandedOut+v.Saved > 0 {
			t.Errorf("a shadow has done work: %+v", v)
		}
	}
	l.counted(rolloutObjects, v3, wrong)
	if out := l.redo(bad[1]); !strings.HasPrefix(out, "no chunk ") {
		t.Errorf("of the shadow is saved: %s", out)
	}
}

// shadows returns the fetcher's report of the comparison.
func (l *lab) shadows() (r report.ShadowReport) {
	l.t.Helper()
	if err := look(l.t.Context(), l.service("fetcher", 3541)+"/api/shadow", &r); err != nil {
		l.t.Fatal(err)
	}
	return r
}
