package fetcher

import (
	"time"

	"github.com/chunkline/chunkline/internal/bus"
)

// report publishes the coordinator's state for whoever asks.
func (d *coordinator) report(now time.Time) {
	counts := d.ledger.Counts()
	_, waiting := d.workers()
	s := bus.Status{
		Job: d.f.bus.Job(), Plan: d.f.planID, Epoch: d.f.grant.epoch, State: d.state, Paused: d.paused,
		Source: d.f.plan.Source, StartedAt: d.f.started, Seconds: now.Sub(d.f.started).Seconds(),
		Objects: bus.ObjectCounts{Cut: d.objects, Saved: d.total.Objects, Outputs: d.total.Outputs, Dead: d.total.Dead},
		Chunks: bus.ChunkCounts{
			Cut: uint64(counts.Added), Ready: uint64(counts.Ready), InFlight: uint64(counts.InFlight), Saved: uint64(counts.Saved),
			Redelivered: counts.Redelivered, Duplicates: d.total.Duplicates, Backups: counts.Backups, BackupWins: counts.BackupWins,
		},
		Waiting: waiting, Shadow: d.shadowStatus(), SaverAway: d.saverAway, Saver: d.load, Cut: d.cut, Summary: d.total, RateLimit: d.rate,
		Rate: d.meter.rate(now, d.total.Objects),
	}
	s.Progress = d.progress()
	s.Mappers = d.mapperList(now)
	s.Versions = d.versionList(now)
	s.Gone = d.goneList(now)
	s.Stragglers = d.stragglerList(now)
	s.HeldBack = d.heldBack(now, s)
	if s.State == bus.StateRunning && s.Rate > 0 && s.Progress > 0 && s.Progress < 1 && !stands(s.HeldBack) {
		left := float64(d.total.Objects)/s.Progress - float64(d.total.Objects)
		seconds := left / s.Rate
		s.ETASeconds = &seconds
	}
	s.Wanted = d.need(now, counts, s).mappers()
	d.history.add(now, d.total.Objects)
	d.f.metrics.view.Store(d.look(now))
	d.f.last.Store(&s)
}

// progress is the share of the source that is saved. Until the source is read
// to its end the number of objects is estimated from the bytes read so far; a
// source of unknown size has progress 0 until then.
func (d *coordinator) progress() float64 {
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
