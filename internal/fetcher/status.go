package fetcher

import (
	"maps"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/report"
)

// report publishes the coordinator's state for whoever asks.
func (d *coordinator) report(now time.Time) {
	counts := d.ledger.Counts()
	_, waiting := d.workers()
	s := report.Status{
		Job: d.f.bus.Job(), Plan: d.f.planID, Epoch: d.f.grant.epoch, State: d.state, Paused: d.paused,
		Source: d.f.plan.Source, StartedAt: d.f.started, Seconds: now.Sub(d.f.started).Seconds(),
		Objects: report.ObjectCounts{Cut: d.objects, Saved: d.total.Objects, Outputs: d.total.Outputs, Dead: d.total.Dead},
		Chunks: report.ChunkCounts{
			Cut: uint64(counts.Added), Ready: uint64(counts.Ready), InFlight: uint64(counts.InFlight), Saved: uint64(counts.Saved),
			Redelivered: counts.Redelivered, Duplicates: d.total.Duplicates, Backups: counts.Backups, BackupWins: counts.BackupWins,
		},
		Waiting: waiting, Shadow: d.shadowStatus(), SaverAway: d.saverAway, Saver: d.load, Cut: d.cut, Summary: d.total, RateLimit: d.rate,
		Rate: d.meter.Rate(now, d.total.Objects),
	}
	read, all := d.f.source.Progress()
	s.Progress = report.Progress(s, read, all)
	s.Mappers = d.mapperList(now)
	s.Versions = d.versionList(now)
	s.Gone = d.goneList(now)
	s.Stragglers = d.stragglerList(now)
	s.HeldBack = report.Bottleneck(s, d.facts(now, s))
	s.ETASeconds = report.ETA(s)
	s.Wanted = d.need(now, counts, s).mappers()
	d.history.Add(now, d.total.Objects)
	d.f.metrics.view.Store(d.look(now))
	d.f.last.Store(&s)
}

// facts is what may hold the job back and is not in the status.
func (d *coordinator) facts(now time.Time, s report.Status) report.Facts {
	mappers, _ := d.workers()
	f := report.Facts{
		Failed: d.err != nil, Offline: !d.online, RivalSavers: d.rivalry(now), Hearing: now.Before(d.listenTo),
		Unconfirmed: d.doubtful(), Mappers: mappers, Refusal: d.refusal(), AtRateLimit: d.limit.holds(now, d.rate),
		NoneEligible: s.Waiting > 0 && s.Chunks.Ready > 0 && d.noneEligible(now),
		Failures:     report.Failures{Chunks: len(d.outcomes), Share: d.outcomes.FailedShare(), TooMany: d.outcomes.MostlyFailed()},
	}
	if v := d.onlyDisabled(); v != nil {
		f.OpenBreaker = &report.OpenBreaker{Version: v.Name, Failed: v.Breaker.FailedShare(), Rest: v.Breaker.ProbeIn(now)}
	}
	return f
}

// onlyDisabled is a version whose circuit breaker is not closed, if no connected mapper is of a version with a closed one; else nil.
func (d *coordinator) onlyDisabled() *version {
	var only *version
	for _, id := range slices.Sorted(maps.Keys(d.mappers)) {
		switch m := d.mappers[id]; {
		case d.isShadow(m) || m.refused != "" || m.of.Share() == 0:
		case m.of.Breaker.Closed():
			return nil
		case only == nil:
			only = m.of
		}
	}
	return only
}
