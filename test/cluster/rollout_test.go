//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
)

const rolloutObjects = 100_000 // for 500 s at the rate of the drills, unless the test lifts it

// A rollout is the mappers' Rollout, with its status from the controller of Argo Rollouts.
type rollout struct {
	Status struct {
		Phase, Message, CurrentPodHash, StableRS string
		Abort                                    bool
		UpdatedReplicas, AvailableReplicas       int
		BlueGreen                                struct{ ActiveSelector string }
	}
}

// rolled starts a job of this many objects with one of the drills of Argo Rollouts, whose first
// release works, and returns that release's hash.
func rolled(t *testing.T, name string, objects int) (l *lab, works string) {
	t.Helper()
	l = emptyLab(t)
	binding := l.ns
	l.kubectl("delete", "clusterrolebinding", binding, "--ignore-not-found")
	l.kubectl("create", "clusterrolebinding", binding, "--clusterrole=chunkline-drill", "--serviceaccount="+l.ns+":prometheus")
	t.Cleanup(func() { l.kubectl("delete", "clusterrolebinding", binding) })
	l.apply("drills/"+name, 0, fmt.Sprintf("OBJECTS=%d", objects), "RATE=200")
	l.until("the first release to come up", func() bool {
		r := l.mappers()
		if r.Status.Abort { // on a busy node, a lab may take longer to start than a release has to come up
			l.argo("retry", "rollout", "mapper")
		}
		return r.Status.Phase == "Healthy"
	})
	works = l.rolledOut("the first release to be there", "Healthy").Status.StableRS
	l.up("deployment/prometheus")
	l.job("the first release to work alone", onlyAtWork(works, 4))
	return l, works
}

// argo runs the plugin of Argo Rollouts.
func (l *lab) argo(args ...string) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "kubectl-argo-rollouts", append(args, "--namespace", l.ns)...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("kubectl argo rollouts %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// mappers returns the mappers' Rollout.
func (l *lab) mappers() (r rollout) {
	l.t.Helper()
	if err := look(l.t.Context(), "/apis/argoproj.io/v1alpha1/namespaces/"+l.ns+"/rollouts/mapper", &r); err != nil {
		l.t.Fatal(err)
	}
	return r
}

// rolledOut waits until the rollout is in a phase and its newest release is the stable one.
func (l *lab) rolledOut(what, phase string) (r rollout) {
	l.t.Helper()
	l.until(what, func() bool {
		r = l.mappers()
		if r.Status.Abort && phase == "Healthy" {
			l.t.Fatalf("aborted: %s\n%s", r.Status.Message, l.argo("get", "rollout", "mapper"))
		}
		return r.Status.Phase == phase && r.Status.StableRS != "" && r.Status.StableRS == r.Status.CurrentPodHash
	})
	return r
}

// promoted changes the mappers to a release and expects the controller to promote it.
func (l *lab) promoted(release string) (hash string) {
	l.t.Helper()
	was := l.mappers().Status.CurrentPodHash
	l.release("mapper", release)
	l.until(release+" to be seen", func() bool { return l.mappers().Status.CurrentPodHash != was })
	hash = l.rolledOut(release+" to be promoted", "Healthy").Status.StableRS
	l.only(hash)
	l.job(release+" to work alone", onlyAtWork(hash, 4))
	return hash
}

// only waits until there are exactly four mappers, all ready and of one release.
func (l *lab) only(hash string) {
	l.t.Helper()
	l.until("only mappers of "+hash, func() bool {
		pods := l.pods("mapper")
		other := func(p pod) bool { return !p.ready() || p.Metadata.Labels["rollouts-pod-template-hash"] != hash }
		return len(pods) == 4 && !slices.ContainsFunc(pods, other)
	})
}

// refused changes the mappers to a release and expects the controller to roll it back
// for the given reason. It returns the fetcher's status of the release after its last
// pod is gone. After that the release must not save more.
func (l *lab) refused(release, works, reason string) report.VersionStatus {
	l.t.Helper()
	was := l.mappers().Status.CurrentPodHash
	l.release("mapper", release)
	return l.takenBack(release, was, works, reason)
}

// takenBack waits for the rollback of a release that followed was.
func (l *lab) takenBack(release, was, works, reason string) report.VersionStatus {
	l.t.Helper()
	began := time.Now()
	var r rollout
	least := 4
	l.until(release+" to be taken back", func() bool {
		r = l.mappers()
		ready := 0
		for _, p := range l.pods("mapper") {
			if p.ready() && p.Metadata.Labels["rollouts-pod-template-hash"] == works {
				ready++
			}
		}
		least = min(least, ready)
		return r.Status.CurrentPodHash != was && r.Status.Abort && strings.Contains(r.Status.Message, reason) // the message comes later
	})
	l.t.Logf("%s (%s) taken back after %.0f s: %s", release, r.Status.CurrentPodHash, time.Since(began).Seconds(), r.Status.Message)
	if r.Status.StableRS != works {
		l.t.Errorf("%s was taken back, and %s is stable; want %s", release, r.Status.StableRS, works)
	}
	if least < 2 {
		l.t.Errorf("meanwhile only %d mappers of the release before were ready", least)
	}
	l.only(works)
	hash := r.Status.CurrentPodHash
	l.goesOn(works)
	return versionOf(l.job("a status", func(report.Status) bool { return true }), hash)
}

// takeBack makes the release before the last one the newest again. An aborted rollout stays aborted until then.
func (l *lab) takeBack(works string) {
	l.t.Helper()
	l.argo("undo", "mapper")
	l.until("the undo to be seen", func() bool {
		r := l.mappers().Status
		return !r.Abort && r.CurrentPodHash == works
	})
	l.rolledOut("the release before to stay", "Healthy")
}

// versionOf returns a status's entry for a version of mappers.
func versionOf(s report.Status, version string) report.VersionStatus {
	for _, v := range s.Versions {
		if v.Version == version {
			return v
		}
	}
	return report.VersionStatus{Version: version}
}

// counted finishes the job. It expects every object saved once, and none by a refused
// release after its rollback. It maps the dead letters of refused releases again.
func (l *lab) counted(objects int, refused ...report.VersionStatus) {
	l.t.Helper()
	s := l.finish()
	if s.Objects.Saved != uint64(objects) {
		l.t.Errorf("done with %d objects saved, want %d", s.Objects.Saved, objects)
	}
	dead := uint64(0)
	for _, then := range refused {
		now := versionOf(s, then.Version)
		if now.Saved != then.Saved || now.Objects != then.Objects {
			l.t.Errorf("%s has %d chunks saved, and had %d when it was gone", then.Version, now.Saved, then.Saved)
		}
		dead += now.Dead
	}
	if s.Objects.Dead != dead {
		l.t.Errorf("%d dead letters, of which %d are of releases that were taken back", s.Objects.Dead, dead)
	}
	l.healthy()
	l.verify(objects, int(s.Objects.Dead))
	if dead > 0 {
		l.t.Log(strings.TrimSpace(l.runJob("dead-retry")))
		l.verify(objects, 0)
	}
}
