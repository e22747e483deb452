package fetcher

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/internal/bus"
)

// mapper is what people want to know of a mapper, and which of its requests
// are new.
type mapper struct {
	bus.Mapper
	heard time.Time
	saved uint64

	draining bool               // a beat of it said so
	version  string             // its label
	counter  prometheus.Counter // of what is saved by its version

	asking []uint64            // the requests that its latest report says are open, ascending
	taken  map[uint64]struct{} // those of them that have arrived
}

// note takes the time and the open requests of a report that is not stale.
func (m *mapper) note(now time.Time, asking []uint64) {
	m.heard, m.asking = now, asking
	maps.DeleteFunc(m.taken, func(seq uint64, _ struct{}) bool { return !contains(asking, seq) })
}

// contains says whether an ascending list, as the bus reads them, has seq. A
// list is as long as its sender likes, so it is searched, not scanned.
func contains(ascending []uint64, seq uint64) bool {
	_, has := slices.BinarySearch(ascending, seq)
	return has
}

// takes says whether a request is to be answered: it is open still, and this
// is its first copy.
func (m *mapper) takes(seq uint64) bool {
	if _, doubled := m.taken[seq]; doubled || !contains(m.asking, seq) {
		return false
	}
	m.taken[seq] = struct{}{}
	return true
}

// rateSpan is the time that the shown rate is the average of.
const rateSpan = 10 * time.Second

// meter measures the rate of saved objects over the last rateSpan.
type meter struct {
	last    time.Time
	samples []sample // oldest first
}

type sample struct {
	at      time.Time
	objects uint64
}

// rate notes how many objects are saved now and returns objects a second.
func (m *meter) rate(now time.Time, objects uint64) float64 {
	m.last = now
	m.samples = append(m.samples, sample{at: now, objects: objects})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= rateSpan {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	if span := now.Sub(first.at).Seconds(); span > 0 && objects > first.objects {
		return float64(objects-first.objects) / span
	}
	return 0
}

// report publishes the desk's state for whoever asks.
func (d *desk) report(now time.Time) {
	counts := d.ledger.Counts()
	s := bus.Status{
		Job: d.f.bus.Job(), Plan: d.f.planID, Epoch: d.f.grant.epoch, State: d.state, Paused: d.paused,
		Source: d.f.plan.Source, StartedAt: d.f.started, Seconds: now.Sub(d.f.started).Seconds(),
		Objects: bus.ObjectCounts{Cut: d.objects, Saved: d.total.Objects, Outputs: d.total.Outputs, Dead: d.total.Dead},
		Chunks: bus.ChunkCounts{
			Cut: uint64(counts.Added), Ready: uint64(counts.Ready), InFlight: uint64(counts.InFlight), Saved: uint64(counts.Saved),
			Redelivered: counts.Redelivered, Duplicates: d.total.Duplicates, Backups: counts.Backups, BackupWins: counts.BackupWins,
		},
		Waiting: d.waiting.len(), SaverAway: d.saverAway, Cut: d.cut, Summary: d.total,
		Rate: d.meter.rate(now, d.total.Objects),
	}
	s.Progress = d.progress()
	if s.Rate > 0 && s.Progress > 0 && s.Progress < 1 {
		left := float64(d.total.Objects)/s.Progress - float64(d.total.Objects)
		seconds := left / s.Rate
		s.ETASeconds = &seconds
	}
	for _, m := range slices.SortedFunc(maps.Values(d.mappers), func(a, b *mapper) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) }) {
		s.Mappers = append(s.Mappers, bus.MapperStatus{
			Mapper: m.Mapper, Held: d.ledger.Holds(m.ID), Saved: m.saved, LastBeatSeconds: now.Sub(m.heard).Seconds(),
		})
	}
	d.f.metrics.view.Store(d.look(now, s))
	d.f.last.Store(&s)
}

// progress is the share of the source that is saved. Until the source is read
// to its end the number of objects is estimated from the bytes read so far; a
// source of unknown size has progress 0 until then.
func (d *desk) progress() float64 {
	switch read, total := d.f.source.Progress(); {
	case d.state == bus.StateDone:
		return 1
	case d.objects == 0:
		return 0
	case d.cut:
		return float64(d.total.Objects) / float64(d.objects)
	case total <= 0 || read <= 0:
		return 0
	default:
		return min(1, float64(d.total.Objects)/float64(d.objects)*float64(read)/float64(total))
	}
}
