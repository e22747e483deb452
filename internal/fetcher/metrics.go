package fetcher

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
)

// metrics is what a fetcher counts beside its status.
type metrics struct {
	chunks  *prometheus.CounterVec
	objects prometheus.Counter
	bytes   prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		chunks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chunkline_handed_out_chunks_total", Help: "Chunks handed out, by whether it was a backup attempt.",
		}, []string{"backup"}),
		objects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chunkline_handed_out_objects_total", Help: "Objects handed out.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chunkline_handed_out_bytes_total", Help: "Bytes of objects handed out.",
		}),
	}
}

func (m *metrics) sent(l ledger.Lease, c chunk.Chunk) {
	backup := "false"
	if l.Backup {
		backup = "true"
	}
	m.chunks.WithLabelValues(backup).Inc()
	m.objects.Add(float64(c.Count))
	m.bytes.Add(float64(len(c.Body)))
}

var (
	chunksDesc = prometheus.NewDesc("chunkline_chunks", "Chunks of the job by state.", []string{"state"}, nil)
	objectDesc = prometheus.NewDesc("chunkline_saved_objects", "Objects that the sink holds.", nil, nil)
	deadDesc   = prometheus.NewDesc("chunkline_dead_letters", "Dead letters that the sink holds.", nil, nil)
	mapperDesc = prometheus.NewDesc("chunkline_mappers", "Mappers that are known and alive.", nil, nil)
	etaDesc    = prometheus.NewDesc("chunkline_eta_seconds", "Estimated time to the end of the job.", nil, nil)
)

// Describe implements prometheus.Collector.
func (f *Fetcher) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{chunksDesc, objectDesc, deadDesc, mapperDesc, etaDesc} {
		ch <- d
	}
	f.metrics.chunks.Describe(ch)
	f.metrics.objects.Describe(ch)
	f.metrics.bytes.Describe(ch)
}

// Collect implements prometheus.Collector.
func (f *Fetcher) Collect(ch chan<- prometheus.Metric) {
	s := f.Status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(chunksDesc, float64(s.Chunks.Ready), "ready")
	gauge(chunksDesc, float64(s.Chunks.InFlight), "in_flight")
	gauge(chunksDesc, float64(s.Chunks.Saved), "saved")
	gauge(objectDesc, float64(s.Objects.Saved))
	gauge(deadDesc, float64(s.Objects.Dead))
	gauge(mapperDesc, float64(len(s.Mappers)))
	if s.ETASeconds != nil {
		gauge(etaDesc, *s.ETASeconds)
	}
	f.metrics.chunks.Collect(ch)
	f.metrics.objects.Collect(ch)
	f.metrics.bytes.Collect(ch)
}
