package saver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/internal/metrics"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// meters are the metrics of a saver.
type meters struct {
	set  metrics.Set
	nats *metrics.Bus

	results, unsaved                    metrics.Counters
	objects, outputs, dead, in, bytes   prometheus.Counter
	seconds, group                      prometheus.Histogram
	sync                                *prometheus.HistogramVec
	queued, queuedBytes, full, deadHeld *metrics.Const

	versions                 metrics.Versions
	shadowSame, shadowOthers *prometheus.CounterVec
}

// newMeters declares a saver's metrics.
func newMeters() *meters {
	m := new(meters)
	s := &m.set
	m.results = s.Counters("chunkline_commit_results_total", "Results by the outcome of their commit.",
		metrics.OneOf("outcome", sink.Committed.String(), sink.Duplicate.String(), sink.Conflict.String()))
	m.objects = s.Counter("chunkline_commit_objects_total", "Objects whose results were committed.")
	m.outputs = s.Counter("chunkline_commit_outputs_total", "Outputs committed.")
	m.dead = s.Counter("chunkline_commit_dead_letters_total", "Dead letters committed.")
	m.in = s.Counter("chunkline_received_bytes_total", "Bytes of outputs and dead letters in the results that arrived, committed or not.")
	m.bytes = s.Counter("chunkline_commit_bytes_total", "Bytes of outputs and dead letters committed.")
	m.unsaved = s.Counters("chunkline_unsaved_results_total", "Results that were not saved, by the saver's answer: mappers send busy results again and drop refused ones.",
		metrics.OneOf("answer", string(wire.SaveBusy), string(wire.SaveRefused)))
	buckets := prometheus.ExponentialBuckets(0.0005, 2, 14) // 0.5 ms to 4 s
	m.seconds = s.Histogram("chunkline_commit_duration_seconds", "Time of one group commit, including its syncs.", buckets)
	m.sync = s.HistogramVec("chunkline_sync_duration_seconds", "Time of one sync of the sink's log: one for each group commit.", buckets,
		metrics.OneOf("file", "log"))
	m.group = s.Histogram("chunkline_commit_group_results", "Results in one group commit.", prometheus.ExponentialBuckets(1, 2, 11))
	m.queued = s.Gauge("chunkline_queued_results", "Results that wait for their commit.")
	m.queuedBytes = s.Gauge("chunkline_queued_bytes", "Bytes of results that wait for their commit or are in it.")
	m.full = s.Gauge("chunkline_sink_full", "1 while there is no space for commits or for the merge of the result, else 0.")
	m.deadHeld = s.Gauge("chunkline_sink_dead_letters", "Dead letters that the sink holds.")
	m.shadowSame = s.CounterVec("chunkline_shadow_same_objects_total", "Objects whose outputs in a shadow run equal the saved ones, by the version that shadows.", metrics.Version)
	m.shadowOthers = s.CounterVec("chunkline_shadow_different_objects_total", "Objects whose outputs in a shadow run differ from the saved ones, by the version that shadows.", metrics.Version)
	m.nats = metrics.NewBus(s)
	return m
}

// Metrics describes the metrics for docs/metrics.md.
func Metrics() []metrics.Doc { return newMeters().set.Docs() }

func (m *meters) committed(results []sink.Result, outcomes []sink.Outcome, took time.Duration) {
	for i, r := range results {
		if outcomes[i] == sink.TooLate || outcomes[i] == sink.OtherTransform || outcomes[i] == sink.Overlap {
			continue // counted as refused, like the results that never reach a commit
		}
		m.results[outcomes[i].String()].Inc()
		if outcomes[i] != sink.Committed {
			continue
		}
		m.bytes.Add(float64(len(r.Outputs) + len(r.Dead)))
		m.objects.Add(float64(r.Objects))
		m.dead.Add(float64(r.DeadCount))
		outputs := 0
		for _, n := range r.Counts {
			outputs += n
		}
		m.outputs.Add(float64(outputs))
	}
	m.seconds.Observe(took.Seconds())
	m.group.Observe(float64(len(results)))
}

// compared counts the compared objects of a version. Both series exist from its first result on.
func (m *meters) compared(version string, objects, different int) {
	label := m.versions.Label(version)
	m.shadowSame.WithLabelValues(label).Add(float64(objects - different))
	m.shadowOthers.WithLabelValues(label).Add(float64(different))
}

func (m *meters) answered(status wire.SaveStatus) {
	if status == wire.SaveBusy || status == wire.SaveRefused {
		m.unsaved[string(status)].Inc()
	}
}

func (m *meters) gather(of *Saver) func(metrics.Emit) {
	return func(emit metrics.Emit) {
		m.nats.Emit(emit, of.bus)
		emit(m.queued, float64(of.waiting.Load()))
		emit(m.queuedBytes, float64(of.queued.Load()))
		full := 0.0
		if of.full.why() != "" {
			full = 1
		}
		emit(m.full, full)
		emit(m.deadHeld, float64(of.sink.Summary().Dead))
	}
}

// Describe implements prometheus.Collector.
func (s *Saver) Describe(ch chan<- *prometheus.Desc) { s.metrics.set.Describe(ch) }

// Collect implements prometheus.Collector.
func (s *Saver) Collect(ch chan<- prometheus.Metric) { s.metrics.set.Collect(ch) }
