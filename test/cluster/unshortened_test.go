//go:build cluster && unshortened

package cluster

import (
	"testing"
	"time"
)

// TestAutoscale_unshortened: the autoscalers with the windows that they ship
// with. Only the number of mappers that the node has room for is set.
func TestAutoscale_unshortened(t *testing.T) {
	parallel(t, 0, 10)
	autoscales(t, "", "", 120*time.Second)
}

// TestRollout_unshortened: each strategy of Argo Rollouts with the durations
// and limits that it ships with takes v3 back and lets v5 take over.
func TestRollout_unshortened(t *testing.T) {
	parallel(t, 0, 10)
	for name, components := range map[string][]string{
		"canary": {"rollout"}, "blue-green": {"rollout-blue-green"}, "shadow": {"rollout", "rollout-shadow"},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t, 800, 1500)
			l := emptyLab(t)
			l.patience = 25 * time.Minute
			l.operated(100, components...)
			works := l.rolledOut("the first release to be there", "Healthy").Status.StableRS
			l.job("the first release to work alone", onlyAtWork(works, 4))
			v3 := l.refused("v3", works, "assessed Failed")
			v5 := l.promoted("v5")
			l.goesOn(v5)
			l.counted(v3)
		})
	}
}
