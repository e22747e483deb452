//go:build cluster

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

const drillObjects = 60_000 // settings of deploy/drills/practice

// drill applies one of deploy/drills and waits until release v1 is at work.
func drill(t *testing.T, name string, settings ...string) *lab {
	t.Helper()
	l := newLab(t, "drills/"+name, 0, settings...)
	deployment := "mapper"
	if name == "blue-green" {
		deployment = "mapper-blue"
	}
	l.release(deployment, "v1")
	l.up("deployment/" + deployment)
	l.job("v1 to work alone", onlyAtWork("v1", 4))
	return l
}

// release changes a deployment to one of the releases.
func (l *lab) release(deployment, version string) {
	l.t.Helper()
	l.kubectl("patch", "deployment", deployment, "--patch-file", "../../deploy/drills/releases/"+version+".yaml")
}

// undo takes the last release of the mappers back.
func (l *lab) undo() {
	l.t.Helper()
	l.kubectl("rollout", "undo", "deployment/mapper")
	l.up("deployment/mapper")
}

// onlyAtWork: n mappers have chunks saved, all of this version. Others may be
// there, but do not work.
func onlyAtWork(version string, n int) func(report.Status) bool {
	return func(s report.Status) bool {
		idle := func(m report.MapperStatus) bool { return m.Saved == 0 }
		working := slices.DeleteFunc(slices.Clone(s.Mappers), idle)
		other := func(m report.MapperStatus) bool { return m.Version != version }
		return s.State == report.StateRunning && len(working) == n && !slices.ContainsFunc(working, other)
	}
}

// goesOn waits until mappers of a version have saved more chunks.
func (l *lab) goesOn(version string) {
	l.t.Helper()
	saved := func(s report.Status) (n uint64) {
		for _, m := range s.Mappers {
			if m.Version == version {
				n += m.Saved
			}
		}
		return n
	}
	before := saved(l.job("a status", func(report.Status) bool { return true }))
	l.job(version+" to go on", func(s report.Status) bool { return saved(s) >= before+5 })
}

// wantDone finishes the job and wants all of it saved, with so many dead letters, and no chunk handed out twice
// unless something died.
func (l *lab) wantDone(died bool) (dead int) {
	l.t.Helper()
	s := l.finish()
	if s.Objects.Saved != drillObjects || (s.Chunks.Redelivered > 0 && !died) {
		l.t.Errorf("done with %d objects saved, %d chunks handed out again", s.Objects.Saved, s.Chunks.Redelivered)
	}
	l.verify(drillObjects, int(s.Objects.Dead))
	return int(s.Objects.Dead)
}

func (l *lab) wantNoneDead(dead int) {
	l.t.Helper()
	if dead != 0 {
		l.t.Errorf("%d dead letters, want none", dead)
	}
}

// TestDrill_noProbes: without probes a release that never works takes everything down.
func TestDrill_noProbes(t *testing.T) {
	parallel(t, 320, 120)
	l := drill(t, "no-probes")
	l.release("mapper", "v2")
	l.up("deployment/mapper") // nothing stops it
	l.job("nobody to work", func(s report.Status) bool {
		return onlyAtWork("v2", 0)(s) && len(s.Mappers) == 4 && s.Chunks.InFlight == 0 && s.Chunks.Ready > 0
	})
	if n := l.readyMappers(); n < 4 {
		t.Errorf("%d mappers are ready, want Kubernetes to take all for good", n)
	}
	l.undo()
	l.goesOn("v1")
	l.wantNoneDead(l.wantDone(false))
	l.healthy()
}

// TestDrill_readiness: with readiness the rollout of a release that never
// works stops, and the old pods go on; a good one passes.
func TestDrill_readiness(t *testing.T) {
	parallel(t, 320, 170)
	l := drill(t, "rolling")
	l.release("mapper", "v2")
	if err := l.rollout("deployment/mapper"); !strings.Contains(errorOf(err), "exceeded its progress deadline") {
		t.Fatalf("rollout of v2 ended with %s, want its deadline exceeded", errorOf(err))
	}
	if n := l.readyMappers(); n != 4 {
		t.Errorf("%d mappers are ready, want the 4 of v1", n)
	}
	l.job("v1 alone", onlyAtWork("v1", 4))
	l.goesOn("v1")
	l.undo()
	l.release("mapper", "v5")
	l.up("deployment/mapper")
	l.job("v5 alone", onlyAtWork("v5", 4))
	l.wantNoneDead(l.wantDone(false))
	l.healthy()
	if history := l.kubectl("rollout", "history", "deployment/mapper"); !strings.Contains(history, "v5: works") {
		t.Errorf("history does not name the release:\n%s", history)
	}
}

// TestDrill_breaksLater: v4 passes readiness, so the rollout succeeds; then its
// pods die again and again. A minReadySeconds beyond its 20 s would have told.
func TestDrill_breaksLater(t *testing.T) {
	parallel(t, 320, 200)
	l := drill(t, "rolling")
	l.release("mapper", "v4")
	l.up("deployment/mapper")
	l.until("v4 to die", func() bool {
		return slices.ContainsFunc(l.pods("mapper"), func(p pod) bool { return p.restarts() > 0 })
	})
	l.undo()
	l.goesOn("v1")

	l.kubectl("patch", "deployment", "mapper", "--type=merge", "-p", `{"spec":{"minReadySeconds":30,"progressDeadlineSeconds":40}}`)
	l.release("mapper", "v4")
	l.until("v4 to die again", func() bool {
		return slices.ContainsFunc(l.pods("mapper"), func(p pod) bool { return p.restarts() > 0 })
	})
	if got := l.kubectl("get", "deployment", "mapper", "-o", "jsonpath={.status.updatedReplicas} new, {.status.availableReplicas} available"); got != "1 new, 4 available" {
		t.Errorf("with minReadySeconds 30 the rollout of v4 is at %s, want it to wait at the first pod", got)
	}
	l.goesOn("v1")
	l.undo()
	l.wantNoneDead(l.wantDone(true))
	l.healthy()
}

// TestDrill_liveness: liveness restarts v3, which fails now and then; what it
// could not map is kept, and mapped again by a release that works.
func TestDrill_liveness(t *testing.T) {
	parallel(t, 320, 150)
	l := drill(t, "rolling")
	l.release("mapper", "v3")
	l.until("liveness to restart v3", func() bool {
		return slices.ContainsFunc(l.events("Killing"), func(e event) bool { return strings.Contains(e.Message, "failed liveness probe, will be restarted") })
	})
	l.job("v3 to fail at objects", func(s report.Status) bool { return s.Objects.Dead > 10 })
	l.undo()
	dead := l.wantDone(false)
	if dead == 0 {
		t.Error("no dead letters of v3")
	}
	t.Log(l.runJob("dead-retry"))
	l.verify(drillObjects, 0)
	l.healthy()
}

// TestDrill_recreate: no two releases ever work at a time, and nobody in between.
func TestDrill_recreate(t *testing.T) {
	parallel(t, 320, 110)
	l := drill(t, "recreate")
	l.release("mapper", "v5")
	l.until("v5 to be there", func() bool {
		releases := map[string]int{}
		for _, p := range l.pods("mapper") {
			if p.Status.Phase == "Running" {
				releases[p.Metadata.Labels["pod-template-hash"]]++
			}
		}
		if len(releases) > 1 {
			t.Errorf("pods of two releases run: %v", releases)
		}
		s, ok := l.status()
		return ok && onlyAtWork("v5", 4)(s)
	})
	l.wantNoneDead(l.wantDone(false))
	l.healthy()
}

// TestDrill_blueGreen: green is looked at beside blue, takes over, and gives back.
func TestDrill_blueGreen(t *testing.T) {
	parallel(t, 360, 130)
	l := drill(t, "blue-green")
	scale := func(set string, n int) {
		t.Helper()
		l.kubectl("scale", "deployment/mapper-"+set, fmt.Sprintf("--replicas=%d", n))
	}
	l.release("mapper-green", "v2")
	scale("green", 4)
	l.job("v2 to be there and blue to work alone", func(s report.Status) bool { return len(s.Mappers) == 8 && onlyAtWork("v1", 4)(s) })
	l.goesOn("v1")
	if n := l.readyMappers(); n != 4 {
		t.Errorf("%d mappers are ready, want blue's 4", n)
	}
	l.release("mapper-green", "v5")
	l.up("deployment/mapper-green")
	scale("blue", 0)
	l.job("green alone", onlyAtWork("v5", 4))
	scale("blue", 4)
	l.up("deployment/mapper-blue")
	scale("green", 0)
	l.job("blue alone again", onlyAtWork("v1", 4))
	l.wantNoneDead(l.wantDone(false))
	l.healthy()
}
