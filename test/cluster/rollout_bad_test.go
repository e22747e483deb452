//go:build cluster

package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

// TestRollout_shadow: a canary that is judged by what the fetcher knows, without a
// Prometheus. The breaker stops a release that fails; the shadow run one that is fast,
// never fails and makes something else of some objects, before it has a chunk.
func TestRollout_shadow(t *testing.T) {
	parallel(t, 370, 350)
	l := emptyLab(t)
	l.apply("drills/rollout-shadow", 0, fmt.Sprintf("OBJECTS=%d", rolloutObjects), "RATE=200")
	works := l.rolledOut("the first release to be there", "Healthy").Status.StableRS
	l.job("the first release to work alone", onlyAtWork(works, 4))

	canary := l.kubectl("get", "rollout", "mapper", "-o", "jsonpath={.spec.strategy.canary}")
	l.kubectl("patch", "rollout", "mapper", "--type=json", "-p", fmt.Sprintf(cutOffFirst, l.ns))
	v3 := l.refused("v3", works, `Metric "versions" assessed Failed`)
	if v3.CutOffSeconds == nil || v3.Saved < 5 || v3.Saved > 10 {
		t.Errorf("v3: %+v; want it cut off after five chunks, and what it held then", v3)
	}
	l.takeBack(works)
	l.kubectl("patch", "rollout", "mapper", "--type=json", "-p", `[{"op":"replace","path":"/spec/strategy/canary","value":`+canary+`}]`)

	wrong := l.refused("wrong", works, `Metric "different-objects" assessed Failed`)
	if wrong.HandedOut > 0 {
		t.Errorf("the canary of a release that the shadow run stopped was handed %d chunks", wrong.HandedOut)
	}
	found := l.shadows()
	if len(found.Versions) != 1 || found.Versions[0].Different == 0 || found.Versions[0].Failed > 0 || len(found.Differences) == 0 {
		t.Errorf("found %+v, want some objects that differ and none that failed", found.Versions)
	}
	l.takeBack(works)

	v5 := l.promoted("v5")
	l.goesOn(v5)
	for _, v := range l.shadows().Versions {
		if v.Version != found.Versions[0].Version && (v.Objects < 1000 || v.Different > 0) {
			t.Errorf("v5 shadowed with %+v, want 1,000 objects compared and none different", v)
		}
	}
	for _, v := range l.job("a status", func(report.Status) bool { return true }).Versions {
		if strings.HasPrefix(v.Version, "shadow-") && v.HandedOut+v.Saved > 0 {
			t.Errorf("a shadow has done work: %+v", v)
		}
	}
	l.counted(v3, wrong)
	if out := l.redo(found.Versions[0].Version); !strings.HasPrefix(out, "no chunk was made by version") {
		t.Errorf("of the shadow is saved: %s", out)
	}
}

// cutOffFirst leaves out the shadow run, which v3 would not pass, and the looks that take it back before the breaker, by the
// dead letters of its first chunks.
const cutOffFirst = `[
	{"op": "remove", "path": "/spec/strategy/canary/steps/0"},
	{"op": "replace", "path": "/spec/strategy/canary/analysis", "value": {"templates": [{"templateName": "mapper-versions"}], "args": [
		{"name": "namespace", "value": %q}, {"name": "interval", "value": "20s"}, {"name": "patience", "value": "1000"}, {"name": "count", "value": "0"},
		{"name": "canary", "valueFrom": {"podTemplateHashValue": "Latest"}}, {"name": "stable", "valueFrom": {"podTemplateHashValue": "Stable"}}]}}]`

// shadows is what the fetcher says came of comparing.
func (l *lab) shadows() (r report.ShadowReport) {
	l.t.Helper()
	if err := look(l.t.Context(), l.service("fetcher", 3541)+"/api/shadow", &r); err != nil {
		l.t.Fatal(err)
	}
	return r
}

// TestDrill_breaker: without Argo Rollouts the fetcher itself stops giving chunks to a
// release that fails, but for one now and then; the job goes on with the other one.
func TestDrill_breaker(t *testing.T) {
	parallel(t, 330, 180)
	l := drill(t, "blue-green", "BREAK_AT=0.05", "BREAK_FOR=5s")
	l.release("mapper-green", "v3")
	l.kubectl("scale", "deployment/mapper-green", "--replicas=2")
	first := l.job("v3 to be cut off, and to give up what it held", func(s report.Status) bool {
		v := versionOf(s, "v3")
		return v.CutOffSeconds != nil && v.Held == 0
	})
	then := versionOf(first, "v3")
	if then.HandedOut < 5 || then.HandedOut > 10 {
		t.Errorf("v3 was cut off after %d chunks, want five and what its two mappers held", then.HandedOut)
	}
	second := l.job("a probe to fail", func(s report.Status) bool {
		v := versionOf(s, "v3")
		return v.HandedOut > then.HandedOut && v.Held == 0 && v.CutOffSeconds != nil
	})
	probed := versionOf(second, "v3")
	most := 1 + uint64((second.Seconds-first.Seconds)/5) // by the fetcher's clock: a look may come late
	if probes := probed.HandedOut - then.HandedOut; probes > most || probed.Saved > then.Saved+probes {
		t.Errorf("v3 had %d probes, want at most %d, and %d chunks saved; when it was cut off %d were, and what it held then is refused", probes, most, probed.Saved, then.Saved)
	}
	l.goesOn("v1")

	l.kubectl("scale", "deployment/mapper-green", "--replicas=0")
	l.job("v3 to be gone", func(s report.Status) bool { return versionOf(s, "v3").Mappers == 0 })
	out := l.redo("v3")
	t.Log(out)
	if !strings.Contains(out, `of version "v3" are taken out`) || strings.HasPrefix(out, "0 chunks") {
		t.Errorf("redo says %q, want chunks of v3 to go back to work", out)
	}
	l.job("another fetcher to go on", func(s report.Status) bool { return s.Epoch > 1 && s.State == report.StateRunning })
	l.wantNoneDead(l.wantDone(false))
	l.healthy("fetcher")
}
