package fetcher

import (
	"maps"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/report"
)

// report publishes the coordinator's state.
func (c *coordinator) report(now time.Time) {
	counts := c.ledger.Counts()
	_, waiting := c.workers()
	s := report.Status{
		Job: c.f.bus.Job(), Plan: c.f.planID, Epoch: c.f.grant.epoch, State: c.state, Paused: c.paused,
		Source: c.f.plan.Source, StartedAt: c.f.started, Seconds: now.Sub(c.f.started).Seconds(),
		Objects: report.ObjectCounts{Cut: c.objects, Saved: c.total.Objects, Outputs: c.total.Outputs, Dead: c.total.Dead},
		Chunks: report.ChunkCounts{
			Cut: uint64(counts.Added), Ready: uint64(counts.Ready), InFlight: uint64(counts.InFlight), Saved: uint64(counts.Saved),
			Redelivered: counts.Redelivered, Duplicates: c.duplicates.total, Backups: counts.Backups, BackupWins: counts.BackupWins,
		},
		Waiting: waiting, Shadow: c.shadowStatus(), SaverAway: c.saverAway, Saver: c.load, Cut: c.cut, Summary: c.total, RateLimit: c.rate,
		Rate: c.meter.Rate(now, c.total.Objects),
	}
	read, all := c.f.source.Progress()
	s.Progress = report.Progress(s, read, all)
	s.Mappers = c.mapperList(now)
	s.Versions = c.versionList(now)
	s.Gone = c.goneList(now)
	s.Stragglers = c.stragglerList(now)
	s.Bottleneck = report.FindBottleneck(s, c.facts(now, s))
	s.ETASeconds = report.ETA(s)
	s.Wanted = c.need(now, counts, s).mappers()
	c.history.Add(now, c.total.Objects)
	c.f.metrics.view.Store(c.makeView(now))
	c.f.last.Store(&s)
}

// facts returns possible bottlenecks that are not in the status.
func (c *coordinator) facts(now time.Time, s report.Status) report.Facts {
	mappers, _ := c.workers()
	f := report.Facts{
		Failed: c.err != nil, Offline: !c.online, RivalSavers: c.rivalry(now), Hearing: now.Before(c.listenTo),
		Unconfirmed: c.doubtful(), MergeFailure: c.failure, Mappers: mappers, Refusal: c.refusal(), AtRateLimit: c.limit.holds(now, c.rate),
		NoneEligible: s.Waiting > 0 && s.Chunks.Ready > 0 && c.noneEligible(now),
		NoRoom:       !c.noRoom.IsZero() && now.Sub(c.noRoom) >= roomPatience,
		Failures:     report.Failures{Chunks: len(c.outcomes), Share: c.outcomes.FailedShare(), TooMany: c.outcomes.MostlyFailed()},
	}
	if v := c.onlyDisabled(); v != nil {
		f.OpenBreaker = &report.OpenBreaker{Version: v.Name, Failed: v.Breaker.FailedShare(), Rest: v.Breaker.ProbeIn(now)}
	}
	return f
}

// onlyDisabled returns a version whose circuit breaker is not closed, if every mapper has such a version; else nil.
func (c *coordinator) onlyDisabled() *version {
	var only *version
	for _, id := range slices.Sorted(maps.Keys(c.mappers)) {
		switch m := c.mappers[id]; {
		case c.isShadow(m) || m.refused != "" || m.of.Share() == 0:
		case m.of.Breaker.Closed():
			return nil
		case only == nil:
			only = m.of
		}
	}
	return only
}
