//go:build cluster && !full

package cluster

import (
	"testing"
	"time"
)

// TestAutoscale: the HPA with timings for a short job. This process serves the API that prometheus-adapter would. A
// cluster has that API once, so TestAutoscale_unshortened, which also covers KEDA, takes the place of this test.
func TestAutoscale(t *testing.T) {
	parallel(t, 0, 10)
	scalesByHPA(t, newExternalMetrics(t), shortHPA, 20*time.Second)
}

const shortHPA = `
    - {op: replace, path: /spec/behavior/scaleUp/stabilizationWindowSeconds, value: 0}
    - {op: replace, path: /spec/behavior/scaleDown/stabilizationWindowSeconds, value: 20}
`
