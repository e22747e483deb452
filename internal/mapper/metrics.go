package mapper

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what a mapper counts. Labels come from small closed sets.
type metrics struct {
	objects *prometheus.CounterVec
	results *prometheus.CounterVec
	mapping prometheus.Histogram
	waiting prometheus.Histogram
}

func newMetrics() *metrics {
	buckets := prometheus.ExponentialBuckets(0.001, 4, 11) // 1 ms to 17 min
	return &metrics{
		objects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chunkline_mapper_objects_total", Help: "Objects by what became of them.",
		}, []string{"outcome"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chunkline_mapper_results_total", Help: "Results by what the saver said.",
		}, []string{"outcome"}),
		mapping: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chunkline_mapper_chunk_duration_seconds", Help: "Time to map one chunk.", Buckets: buckets,
		}),
		waiting: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chunkline_mapper_wait_duration_seconds", Help: "Time a worker waited for its chunk.", Buckets: buckets,
		}),
	}
}

func (m *metrics) waited(d time.Duration) { m.waiting.Observe(d.Seconds()) }

func (m *metrics) mapped(d time.Duration, objects, failed int) {
	m.mapping.Observe(d.Seconds())
	m.objects.WithLabelValues("mapped").Add(float64(objects - failed))
	m.objects.WithLabelValues("dead").Add(float64(failed))
}

func (m *metrics) saved(outcome string) { m.results.WithLabelValues(outcome).Inc() }

// Describe implements prometheus.Collector.
func (m *Mapper) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *Mapper) Collect(ch chan<- prometheus.Metric) {
	m.metrics.objects.Collect(ch)
	m.metrics.results.Collect(ch)
	m.metrics.mapping.Collect(ch)
	m.metrics.waiting.Collect(ch)
}
