//go:build cluster

package cluster

import (
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/bus"
)

// TestDrill_breaker: without Argo Rollouts the fetcher itself stops giving chunks to a
// release that fails, but for one now and then; the job goes on with the other one.
func TestDrill_breaker(t *testing.T) {
	t.Parallel()
	l := drill(t, "blue-green", "BREAK_AT=0.05", "BREAK_FOR=5s")
	l.release("mapper-green", "v3")
	l.kubectl("scale", "deployment/mapper-green", "--replicas=2")
	then := versionOf(l.job("v3 to be cut off", func(s bus.Status) bool { return versionOf(s, "v3").CutOffSeconds != nil }), "v3")
	if then.HandedOut < 5 || then.HandedOut > 10 {
		t.Errorf("v3 was cut off after %d chunks, want five and what its two mappers held", then.HandedOut)
	}
	probed := versionOf(l.job("a probe to fail", func(s bus.Status) bool {
		v := versionOf(s, "v3")
		return v.HandedOut > then.HandedOut && v.Held == 0 && v.CutOffSeconds != nil && *v.CutOffSeconds > 5
	}), "v3")
	if probes := probed.HandedOut - then.HandedOut; probes > 2 || probed.Saved > then.Saved+uint64(then.Held)+probes {
		t.Errorf("v3 had %d probes, and %d chunks saved; when it was cut off it held %d, and %d were saved", probes, probed.Saved, then.Held, then.Saved)
	}
	l.goesOn("v1")

	l.kubectl("scale", "deployment/mapper-green", "--replicas=0")
	l.job("v3 to be gone", func(s bus.Status) bool { return versionOf(s, "v3").Mappers == 0 })
	out := l.redo("v3")
	t.Log(out)
	if !strings.Contains(out, `of version "v3" are taken out`) || strings.HasPrefix(out, "0 chunks") {
		t.Errorf("redo says %q, want chunks of v3 to go back to work", out)
	}
	l.job("another fetcher to go on", func(s bus.Status) bool { return s.Epoch > 1 && s.State == bus.StateRunning })
	l.wantNoneDead(l.wantDone(false))
	l.healthy("fetcher")
}
