package mapper

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/metrics"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
)

// meters are the metrics of a mapper.
type meters struct {
	set  metrics.Set
	nats *metrics.Bus
	busy atomic.Int64 // workers that are mapping a piece

	objects, results, bytes, dead, retries metrics.Counters
	mapping, perObject, waiting            prometheus.Observer

	workers, ratio, held *metrics.Const
}

// newMeters declares a mapper's metrics.
func newMeters(version string) *meters {
	m := new(meters)
	s := &m.set
	buckets := prometheus.ExponentialBuckets(0.001, 4, 11) // 1 ms to 17 min
	m.objects = s.Counters("chunkline_mapper_objects_total", "Objects by outcome.", metrics.OneOf("outcome", "mapped", "dead"))
	m.bytes = s.Counters("chunkline_mapper_bytes_total", "Bytes of objects received (in) and of outputs and dead letters sent (out).", metrics.OneOf("direction", "in", "out"))
	m.dead = s.Counters("chunkline_made_dead_letters_total",
		"Objects that became dead letters, by reason: the source could not read the object (unreadable), the object crashed mappers (poison), it took longer than TIMEOUT (timeout), or its transform failed (failed).",
		metrics.OneOf("reason", "unreadable", "poison", "timeout", "failed"))
	m.retries = s.Counters("chunkline_mapper_retries_total",
		"Objects tried again after a temporary failure, by the kind of transform: a program that answered !retry, or a service that was busy, down or slow. At most RETRIES times per object.",
		metrics.OneOf("transform", "exec", "http"))
	m.results = s.Counters("chunkline_mapper_results_total", "Results by the saver's answer.",
		metrics.OneOf("outcome", string(wire.SaveCommitted), string(wire.SaveDuplicate), string(wire.SaveRefused)))
	label := new(metrics.Versions).Label(version)
	m.mapping = s.HistogramVec("chunkline_mapper_piece_duration_seconds", "Time to map one piece, by the mapper's version. The fetcher sizes pieces by the time of their objects, so this says little about the speed of a version.", buckets, metrics.Version).
		WithLabelValues(label)
	m.perObject = s.HistogramVec("chunkline_mapper_object_duration_seconds", "Time to map one object, on average over the objects of one piece, by the mapper's version.",
		prometheus.ExponentialBuckets(1e-6, 4, 14), metrics.Version). // 1 µs to 67 s
		WithLabelValues(label)
	m.waiting = s.HistogramVec("chunkline_mapper_wait_duration_seconds", "Time a worker waited for work, by the mapper's version.", buckets, metrics.Version).
		WithLabelValues(label)
	m.workers = s.Gauge("chunkline_mapper_workers", "Number of workers: the most pieces that this mapper maps at a time.")
	m.ratio = s.Gauge("chunkline_mapper_busy_ratio", "Share of the workers that are mapping a piece now, 0 to 1. For the average over time, divide the rate of chunkline_mapper_piece_duration_seconds_sum by chunkline_mapper_workers.")
	m.held = s.Gauge("chunkline_mapper_held_pieces", "Pieces that this mapper holds: those in work, those that wait for a worker, and those whose result is not saved yet.")
	m.nats = metrics.NewBus(s)
	return m
}

// Metrics describes the metrics for docs/metrics.md.
func Metrics() []metrics.Doc { return newMeters("").set.Docs() }

// mapped counts a piece that was mapped in d. The piece says which objects were unreadable or poison.
func (m *meters) mapped(d time.Duration, p *piece, out transform.Output) {
	m.mapping.Observe(d.Seconds())
	m.perObject.Observe(d.Seconds() / float64(max(1, p.Chunk.Count)))
	m.objects["mapped"].Add(float64(p.Chunk.Count - len(out.Failed)))
	m.objects["dead"].Add(float64(len(out.Failed)))
	m.bytes["in"].Add(float64(len(p.Chunk.Body)))
	for _, f := range out.Failed {
		reason := "failed"
		switch {
		case isFlawed(p.Chunk.Bad, p.From+f.Index):
			reason = "unreadable"
		case isFlawed(p.Skip, p.From+f.Index):
			reason = "poison"
		case f.Late:
			reason = "timeout"
		}
		m.dead[reason].Inc()
	}
}

func (m *meters) gather(of *Mapper) func(metrics.Emit) {
	return func(emit metrics.Emit) {
		m.nats.Emit(emit, of.bus)
		emit(m.workers, float64(of.cfg.Workers))
		emit(m.ratio, float64(m.busy.Load())/float64(of.cfg.Workers))
		emit(m.held, float64(len(of.state.held())))
	}
}

func isFlawed(flaws []chunk.Flaw, index int) bool {
	return slices.ContainsFunc(flaws, func(f chunk.Flaw) bool { return f.Index == index })
}

// Describe implements prometheus.Collector.
func (m *Mapper) Describe(ch chan<- *prometheus.Desc) { m.metrics.set.Describe(ch) }

// Collect implements prometheus.Collector.
func (m *Mapper) Collect(ch chan<- prometheus.Metric) { m.metrics.set.Collect(ch) }
