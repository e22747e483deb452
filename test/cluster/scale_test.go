//go:build cluster

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
)

const (
	scaledObjects = 30_000
	mostScaled    = 7
)

// scalesByHPA: the cluster's HPA controller scales the mappers by the fetcher's metric: to the maximum while there is
// work, back when the job is done, once up and once down. While the fetcher is down, no mapper is scaled away. The
// timings are a patch of the HPA, and the window is its stabilization window before it scales down.
func scalesByHPA(t *testing.T, m *externalMetrics, timings string, window time.Duration) {
	t.Helper()
	t.Run("hpa", func(t *testing.T) {
		parallel(t, 670, 250)
		l := autoscaled(t, "hpa", mostHPA+timings, "TRANSFORM=users?duration=1s")
		l.patience += 3 * window
		m.serve(l.ns, "chunkline_wanted_mappers", l.adapter())
		l.scales(1, mostScaled, l.fetcherGoes(window))
	})
}

// mostHPA sets what the overlays leave to the user, the maximum number of mappers.
const mostHPA = `patches:
- target: {kind: HorizontalPodAutoscaler, name: mapper}
  patch: |
    - {op: replace, path: /spec/maxReplicas, value: 7}
`

// autoscaled applies an overlay with patches to the lab's namespace, and changes the addresses in it accordingly.
func autoscaled(t *testing.T, overlay, patches string, settings ...string) *lab {
	t.Helper()
	l := emptyLab(t)
	manifest := l.kustomize(overlaid("overlays/autoscale-"+overlay, 0, append(settings, fmt.Sprintf("OBJECTS=%d", scaledObjects))...) + patches)
	manifest = strings.NewReplacer("http://fetcher.chunkline:", "http://fetcher."+l.ns+":", "http://prometheus.chunkline:", "http://prometheus."+l.ns+":",
		`job="chunkline/`, `job="`+l.ns+"/").Replace(manifest)
	l.applied(manifest)
	return l
}

// fetcherGoes removes the fetcher when all mappers run, until the HPA, which asks
// every 15 s, has got no answer for longer than its window.
func (l *lab) fetcherGoes(window time.Duration) func(replicas int) {
	unanswered := func() (n int) {
		for _, e := range l.events("FailedGetExternalMetric") {
			n += e.Count
		}
		return n
	}
	gone, back, before := false, false, 0
	return func(replicas int) {
		switch {
		case !gone && replicas == mostScaled:
			gone, before = true, unanswered()
			l.kubectl("scale", "deployment/fetcher", "--replicas=0")
		case gone && !back && unanswered() >= before+2+int(window/(15*time.Second)):
			back = true
			l.kubectl("scale", "deployment/fetcher", "--replicas=1")
			l.t.Logf("the fetcher was away, and %d mappers stayed", replicas)
		}
	}
}

// scales polls the number of mappers until the job is done and only the least number
// is left. Each poll calls step.
func (l *lab) scales(least, most int, step func(replicas int)) {
	l.t.Helper()
	var (
		series []int
		s      report.Status
		begin  = time.Now()
	)
	turn := func() int {
		var mappers struct{ Spec struct{ Replicas int } }
		if err := look(l.t.Context(), "/apis/apps/v1/namespaces/"+l.ns+"/deployments/mapper", &mappers); err != nil {
			l.t.Fatal(err)
		}
		replicas := mappers.Spec.Replicas
		if now, ok := l.status(); ok {
			s = now
		}
		if len(series) == 0 || series[len(series)-1] != replicas {
			series = append(series, replicas)
			l.t.Logf("%3.0f s: %d mappers; job %s, %d wanted; chunks: %d ready, %d in flight, %d saved",
				time.Since(begin).Seconds(), replicas, s.State, s.Wanted, s.Chunks.Ready, s.Chunks.InFlight, s.Chunks.Saved)
		}
		step(replicas)
		return replicas
	}
	l.until("the job to be done", func() bool { turn(); return s.State == report.StateDone })
	l.t.Logf("%3.0f s: done", time.Since(begin).Seconds())
	l.until(fmt.Sprintf("%d mappers", least), func() bool { return turn() == least })

	turns := 0
	for i := 2; i < len(series); i++ {
		if (series[i] > series[i-1]) != (series[i-1] > series[i-2]) {
			turns++
		}
	}
	if series[0] != least || slices.Max(series) != most || turns > 1 {
		l.t.Errorf("replicas went %v, want from %d to %d and back, without a turn between", series, least, most)
	}
	if s.Objects.Saved != scaledObjects || s.Objects.Dead != 0 || s.Chunks.Redelivered != 0 && !l.logs.fellSilent() {
		l.t.Errorf("done with %d objects saved, %d dead letters, %d chunks handed out again", s.Objects.Saved, s.Objects.Dead, s.Chunks.Redelivered)
	}
	l.verify(scaledObjects, 0)
	l.healthy()
	l.logs.explained(awayTexts...)
}
