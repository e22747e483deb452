//go:build cluster

package cluster

import (
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

const drillObjects = 60_000 // as in deploy/drills/practice

// drill applies one of deploy/drills and waits until only release v1 works.
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

// undo rolls back the last release of the mappers.
func (l *lab) undo() {
	l.t.Helper()
	l.kubectl("rollout", "undo", "deployment/mapper")
	l.up("deployment/mapper")
}

// onlyAtWork reports whether exactly n mappers have saved chunks, all of this version.
// Other mappers may be connected, but have saved none.
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

// wantDone finishes the job and returns the number of dead letters. It expects every object saved, and no chunk
// redelivered unless a mapper died.
func (l *lab) wantDone(died bool) (dead int) {
	l.t.Helper()
	s := l.finish()
	if s.Objects.Saved != drillObjects || (s.Chunks.Redelivered > 0 && !died && !l.logs.fellSilent()) {
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
