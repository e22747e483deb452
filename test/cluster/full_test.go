//go:build cluster && full

package cluster

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
)

// The tests with the tag full take an hour, so only make prove-all runs them. In CI TestUpdates rolls out the
// same releases with the quickstart, and TestPrometheusOperator rolls one back by the same analyses.

// TestRollouts runs a Kubernetes course's commands for Argo Rollouts.
func TestRollouts(t *testing.T) { course(t, "rollouts.sh", 450) }

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

// TestDrill_readiness: with readiness probes the rollout of a release that never
// works stops, and the old pods go on; the rollout of a good release succeeds.
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
// pods crash again and again, each after 20 s. A longer minReadySeconds stops the rollout.
func TestDrill_breaksLater(t *testing.T) {
	parallel(t, 320, 200)
	l := drill(t, "rolling")
	died := func() bool {
		return slices.ContainsFunc(l.pods("mapper"), func(p pod) bool { return p.restarts() > 0 })
	}
	l.release("mapper", "v4")
	l.up("deployment/mapper")
	l.until("v4 to die", died)
	l.undo()
	l.goesOn("v1")
	l.until("v4 to be gone", func() bool { return !died() })

	l.kubectl("patch", "deployment", "mapper", "--type=merge", "-p", `{"spec":{"minReadySeconds":30,"progressDeadlineSeconds":40}}`)
	l.release("mapper", "v4")
	l.until("v4 to die again", died)
	if got := l.kubectl("get", "deployment", "mapper", "-o", "jsonpath={.status.updatedReplicas} new, {.status.availableReplicas} available"); got != "1 new, 4 available" {
		t.Errorf("with minReadySeconds 30 the rollout of v4 is at %s, want it to wait at the first pod", got)
	}
	l.goesOn("v1")
	l.undo()
	l.wantNoneDead(l.wantDone(true))
	l.healthy()
}

// TestDrill_liveness: the liveness probe restarts v3, which fails now and then. The
// objects that it could not map are dead letters, which a good release maps again.
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

// TestDrill_blueGreen: green runs beside blue without work, takes over, and blue takes over again.
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

// TestDrill_breaker: without Argo Rollouts the fetcher itself stops giving chunks to a
// release that fails, except for probes; the job goes on with the other release.
func TestDrill_breaker(t *testing.T) {
	parallel(t, 330, 180)
	l := drill(t, "blue-green", "BREAK_AT=0.01", "BREAK_FOR=5s")
	began := l.job("a status", func(report.Status) bool { return true }).Seconds
	l.release("mapper-green", "v3")
	l.kubectl("scale", "deployment/mapper-green", "--replicas=2")
	first := l.job("v3's circuit breaker to open, and v3 to give up what it held", func(s report.Status) bool {
		v := versionOf(s, "v3")
		return v.BreakerOpenSeconds != nil && v.Held == 0
	})
	then := versionOf(first, "v3")
	if most := 10 + uint64((first.Seconds-began)/5); then.HandedOut < 5 || then.HandedOut > most { // a late poll counts probes, too
		t.Errorf("v3's circuit breaker opened after %d chunks, want five and what its two mappers held, at most %d", then.HandedOut, most)
	}
	second := l.job("the breaker to open again after probes", func(s report.Status) bool {
		v := versionOf(s, "v3")
		return v.HandedOut > then.HandedOut && v.Held == 0 && v.BreakerOpenSeconds != nil
	})
	probed := versionOf(second, "v3")
	// A probe has ten objects, and one in three has no failure. It closes the breaker until five pieces are saved, while
	// two more may be held. By the fetcher's clock, as a poll may be late.
	most := 8 * (1 + uint64((second.Seconds-first.Seconds)/5))
	if more := probed.HandedOut - then.HandedOut; more > most || probed.Saved > then.Saved+more {
		t.Errorf("v3 got %d pieces after its breaker had opened, want at most %d; %d are saved, %d were then, and what it held then is refused", more, most, probed.Saved, then.Saved)
	}
	l.goesOn("v1")

	l.kubectl("scale", "deployment/mapper-green", "--replicas=0")
	l.job("v3 to be gone", func(s report.Status) bool { return versionOf(s, "v3").Mappers == 0 })
	out := l.redo("v3")
	t.Log(out)
	if !strings.HasPrefix(out, "requeued ") || !strings.Contains(out, `of version "v3"`) {
		t.Errorf("redo says %q, want chunks of v3 to be requeued", out)
	}
	l.job("another fetcher to go on", func(s report.Status) bool { return s.Epoch > 1 && s.State == report.StateRunning })
	l.wantNoneDead(l.wantDone(false))
	l.healthy("fetcher")
}

// TestRollout_canary: the releases of the drill, one after the other, in the
// middle of a job. Only the controller rolls them back.
func TestRollout_canary(t *testing.T) {
	parallel(t, 390, 400)
	const objects = 2 * rolloutObjects // there are four rollouts, each of which may take minutes
	l, works := rolled(t, "rollout", objects)
	v2 := l.refused("v2", works, "RolloutAborted")
	if v2.HandedOut > 0 {
		t.Errorf("v2 was handed %d chunks, and was never ready", v2.HandedOut)
	}
	v3 := l.refused("v3", works, "assessed Failed")
	if v3.Saved == 0 || v3.Dead == 0 {
		t.Errorf("v3 has %d chunks saved with %d dead letters: it was not tried", v3.Saved, v3.Dead)
	}
	v4 := l.refused("v4", works, "assessed Failed") // for restarts or failed checks, whichever is measured first
	v5 := l.promoted("v5")
	l.goesOn(v5)
	t.Log(l.argo("get", "rollout", "mapper", "--no-color"))
	l.counted(objects, v2, v3, v4)
}

// TestRollout_blueGreen: a bad release is rolled back before it takes over; a good one
// takes over, and an undo returns to the first.
func TestRollout_blueGreen(t *testing.T) {
	parallel(t, 400, 300)
	l, works := rolled(t, "rollout-blue-green", rolloutObjects)
	v3 := l.refused("v3", works, "assessed Failed")
	if active := l.mappers().Status.BlueGreen.ActiveSelector; active != works {
		t.Errorf("%s is active, want %s", active, works)
	}
	v5 := l.promoted("v5")
	l.goesOn(v5)
	l.argo("undo", "mapper", "--to-revision=1")
	l.until("the undo to be seen", func() bool { return l.mappers().Status.CurrentPodHash == works })
	l.rolledOut("the first release to be back", "Healthy")
	l.only(works)
	l.goesOn(works)
	l.counted(rolloutObjects, v3)
}

// TestManifests_unchanged: once a kustomization is applied, the cluster has nothing left to change.
func TestManifests_unchanged(t *testing.T) {
	parallel(t, 0, 300)
	l := emptyLab(t)
	for _, file := range l.manifests() {
		l.kubectl("apply", "--filename="+file)
		if left, err := l.try(t.Context(), "", "diff", "--filename="+file); err != nil {
			t.Errorf("%s: %v\n%s", file, err, left)
		}
	}
}

// TestAutoscale_unshortened: the autoscalers with the shipped windows. The test sets
// only the maximum number of mappers, which the node must have room for.
func TestAutoscale_unshortened(t *testing.T) {
	parallel(t, 0, 10)
	const window = 120 * time.Second
	m := newExternalMetrics(t)
	scalesByHPA(t, m, "", window)
	t.Run("keda", func(t *testing.T) {
		parallel(t, 610, 500)
		l := autoscaled(t, "keda", mostKEDA, "TRANSFORM=users?duration=1s")
		l.patience += 3 * window
		goes, asks := l.fetcherGoes(window), l.emptyKEDA(m)
		l.scales(0, mostScaled, func(replicas int) { goes(replicas); asks(replicas) })
	})
	t.Run("keda-prometheus in time", func(t *testing.T) { // one mapper is enough for FINISH_WITHIN
		parallel(t, 380, 400)
		l := autoscaled(t, "keda-prometheus", mostKEDA, "FINISH_WITHIN=1h", "TRANSFORM=users?duration=200ms")
		l.patience += 3 * window
		l.scales(0, 1, l.emptyKEDA(m))
	})
}

// mostKEDA limits the mappers to what the node has room for.
const mostKEDA = `patches:
- target: {kind: ScaledObject, name: mapper}
  patch: |
    - {op: replace, path: /spec/maxReplicaCount, value: 7}
`

// emptyKEDA starts the stand-in for KEDA with no mappers.
func (l *lab) emptyKEDA(m *externalMetrics) func(replicas int) {
	l.t.Helper()
	l.kubectl("scale", "deployment/mapper", "--replicas=0")
	return l.keda(m)
}

// TestRollout_unshortened: each strategy of Argo Rollouts, with the shipped durations
// and limits, rolls back v3 and promotes v5.
func TestRollout_unshortened(t *testing.T) {
	parallel(t, 0, 10)
	for name, components := range map[string][]string{
		"canary": {"rollout"}, "blue-green": {"rollout-blue-green"}, "shadow": {"rollout", "rollout-shadow"},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t, 800, 1500)
			l := emptyLab(t)
			l.patience = 25 * time.Minute
			const objects = 2 * rolloutObjects
			l.operated(objects, 100, components...)
			works := l.rolledOut("the first release to be there", "Healthy").Status.StableRS
			l.job("the first release to work alone", onlyAtWork(works, 4))
			v3 := l.refused("v3", works, "assessed Failed")
			v5 := l.promoted("v5")
			l.goesOn(v5)
			l.counted(objects, v3)
		})
	}
}

// TestDrill_recreate: pods of two releases never run at the same time.
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

// TestRollout_noPrometheus: with the patch of docs/updates.md the analysis of a canary asks
// the fetcher, whose circuit breaker stops a release that fails. The test sets only the
// job and the number of mappers.
func TestRollout_noPrometheus(t *testing.T) {
	parallel(t, 500, 200)
	page, err := os.ReadFile("../../docs/updates.md")
	if err != nil {
		t.Fatal(err)
	}
	_, patch, _ := strings.Cut(string(page), "`mapper-versions`, which asks the fetcher:\n\n```yaml\n")
	patch, _, found := strings.Cut(patch, "```")
	if !found {
		t.Fatal("docs/updates.md has no patch for a canary without a Prometheus")
	}
	l := emptyLab(t)
	l.applied(l.kustomize(fmt.Sprintf(`
resources: [deploy/overlays/rollout]
configMapGenerator:
- name: chunkline
  behavior: merge
  literals: [OBJECTS=%d, RATE=200, "TRANSFORM=users?duration=200ms", BREAK_AT=0.05, BREAK_FOR=5m]
%s
  - target: {kind: Rollout, name: mapper}
    patch: |
      - {op: replace, path: /spec/replicas, value: 4}
`, drillObjects, patch)))
	works := l.rolledOut("the first release to be there", "Healthy").Status.StableRS
	l.job("the first release to work alone", onlyAtWork(works, 4))
	v3 := l.refused("v3", works, `Metric "versions" assessed Failed`)
	if v3.BreakerOpenSeconds == nil || v3.Saved < 5 || v3.Saved > 10 {
		t.Errorf("v3: %+v; want it cut off after five chunks, and what it held then", v3)
	}
	l.takeBack(works)
	if dead := l.wantDone(false); dead != int(v3.Dead) {
		t.Errorf("%d dead letters, want the %d of v3", dead, v3.Dead)
	}
	l.healthy()
}

// TestFetcherJob_deadLetters: the Job is Failed without another try if there are
// dead letters, because of the exit code.
func TestFetcherJob_deadLetters(t *testing.T) {
	parallel(t, 470, 60)
	l := newLab(t, "overlays/fetcher-job", 3, "OBJECTS=2000", `TRANSFORM=jq:if (.uuid | endswith("0")) then error("ends with 0") else . end`)
	l.kubectl("wait", "--for=condition=Failed", "job/fetcher", "--timeout=240s")
	got := l.kubectl("get", "job/fetcher", "-o", `jsonpath={.status.conditions[?(@.type=="Failed")].reason} {.status.failed}`)
	code := l.kubectl("get", "pods", "-l", "job-name=fetcher", "-o", "jsonpath={.items[*].status.containerStatuses[0].state.terminated.exitCode}")
	if got != "PodFailurePolicy 1" || code != "4" {
		t.Errorf("job failed with %q, exit code %q; want PodFailurePolicy 1 and 4", got, code)
	}
}

// TestExistingNATS: a job on the user's own NATS server, which has no users.
func TestExistingNATS(t *testing.T) {
	parallel(t, 460, 70)
	l := emptyLab(t)
	l.kubectlWith(myNATS, "apply", "-f", "-")
	l.apply("overlays/existing-nats", 3, "OBJECTS=2000", "TRANSFORM=users")
	l.done()
	l.verify(2000, 0)
	l.logs.explained(append(awayTexts, "the NATS server asks for no credentials")...)
}

const myNATS = `
apiVersion: v1
kind: Service
metadata: {name: my-nats}
spec:
  selector: {app.kubernetes.io/name: nats}
  ports: [{port: 4222}]
---
apiVersion: v1
kind: Pod
metadata:
  name: my-nats
  labels: {app.kubernetes.io/name: nats}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: nats
    image: nats:2.15.2
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`
