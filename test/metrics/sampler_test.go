package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// sampler samples the metrics of all roles, and records which series have moved.
type sampler struct {
	mu    sync.Mutex
	roles map[string]*prometheus.Registry // guarded by mu
	first map[string]float64              // guarded by mu; of each series
	since map[string]bool                 // guarded by mu; roles that were sampled before
	now   map[string]float64              // guarded by mu
	moved map[string]bool                 // guarded by mu
}

func newSampler() *sampler {
	return &sampler{roles: map[string]*prometheus.Registry{}, first: map[string]float64{}, since: map[string]bool{}, now: map[string]float64{}, moved: map[string]bool{}}
}

func (s *sampler) add(role string, c prometheus.Collector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[role] = prometheus.NewPedanticRegistry()
	s.roles[role].MustRegister(c)
}

// look takes one sample. A counter or histogram has moved when it is not 0, a gauge
// when it differs from its first value, or appears after its role's first sample.
func (s *sampler) look(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.now)
	for role, registry := range s.roles {
		families, err := registry.Gather()
		if err != nil {
			t.Errorf("gather %s: %v", role, err)
		}
		for _, family := range families {
			for _, m := range family.Metric {
				series, v := role+" "+family.GetName()+labels(m), value(m)
				first, known := s.first[series]
				if !known {
					s.first[series], first = v, v
				}
				s.now[series] = v
				if family.GetType() == dto.MetricType_GAUGE {
					s.moved[series] = s.moved[series] || v != first || !known && s.since[role]
				} else {
					s.moved[series] = v != 0
				}
			}
		}
		s.since[role] = true
	}
}

func labels(m *dto.Metric) string {
	var pairs []string
	for _, l := range m.Label {
		pairs = append(pairs, l.GetName()+"="+l.GetValue())
	}
	if len(pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	default:
		return float64(m.Histogram.GetSampleCount())
	}
}

// await samples until satisfied returns true. Its argument now returns the last value of a series, 0 if there is none.
func (s *sampler) await(t *testing.T, what string, satisfied func(now func(series string) float64) bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		s.look(t)
		s.mu.Lock()
		ok := satisfied(func(series string) float64 { return s.now[series] })
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("timed out waiting for %s; last seen:\n%s", what, s.String())
		}
	}
}

// reach waits until a series has at least this value.
func (s *sampler) reach(t *testing.T, series string, least float64) {
	t.Helper()
	s.await(t, series, func(now func(string) float64) bool { return now(series) >= least })
}

// still lists the series that never moved.
func (s *sampler) still() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var still []string
	for series := range s.first {
		if !s.moved[series] {
			still = append(still, series)
		}
	}
	slices.Sort(still)
	return still
}

func (s *sampler) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, series := range slices.Sorted(maps.Keys(s.now)) {
		b.WriteString(series + " = " + prometheusText(s.now[series]) + "\n")
	}
	return b.String()
}
