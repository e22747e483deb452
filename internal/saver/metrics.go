package saver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/internal/sink"
)

// metrics is what a saver counts. Labels come from small closed sets.
type metrics struct {
	chunks  *prometheus.CounterVec
	bytes   prometheus.Counter
	seconds prometheus.Histogram
	group   prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		chunks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chunkline_commit_chunks_total", Help: "Results by how their commit ended.",
		}, []string{"outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chunkline_commit_bytes_total", Help: "Bytes of outputs and dead letters committed.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chunkline_commit_duration_seconds", Help: "Time of one group commit, syncs included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		group: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chunkline_commit_group_chunks", Help: "Results in one group commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
	}
}

func (m *metrics) committed(group []pending, outcomes []sink.Outcome, took time.Duration) {
	for i, p := range group {
		m.chunks.WithLabelValues(outcomes[i].String()).Inc()
		if outcomes[i] == sink.Committed {
			m.bytes.Add(float64(p.bytes()))
		}
	}
	m.seconds.Observe(took.Seconds())
	m.group.Observe(float64(len(group)))
}

// Describe implements prometheus.Collector.
func (s *Saver) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

// Collect implements prometheus.Collector.
func (s *Saver) Collect(ch chan<- prometheus.Metric) {
	m := s.metrics
	m.chunks.Collect(ch)
	m.bytes.Collect(ch)
	m.seconds.Collect(ch)
	m.group.Collect(ch)
}
