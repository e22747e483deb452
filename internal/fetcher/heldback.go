package fetcher

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
)

// slowCommit is from when on waiting for commits is worth a word: below it is
// how a saver works, many results to a sync.
const slowCommit = 20 * time.Millisecond

// heldBack says what keeps the job from being faster, or at all; nil if
// nothing does that people could change.
func (d *coordinator) heldBack(now time.Time, s bus.Status) *bus.HeldBack {
	by := func(cause bus.Cause, format string, args ...any) *bus.HeldBack {
		return &bus.HeldBack{By: cause, Text: fmt.Sprintf(format, args...)}
	}
	queued := s.Saver.Queued
	mappers, _ := d.workers()
	switch {
	case s.State == bus.StateDone || d.err != nil:
		return nil
	case !d.online:
		return by(bus.ByNATS, "NATS is away: what runs goes on when it is back")
	case d.saverAway:
		return by(bus.BySaverAway, "the saver does not answer: is it running, and can it write?")
	case d.rivalry(now) != "":
		return by(bus.BySavers, "%s", d.rivalry(now))
	case s.Saver.Full != "":
		return by(bus.ByFull, "sink is full: %s: make space, and the job goes on", s.Saver.Full)
	case s.State == bus.StateFinishing:
		return by(bus.ByLayout, "all is saved, and is being laid out in the order of the source")
	case s.Paused:
		return by(bus.ByPause, "paused by an operator: resume it")
	case now.Before(d.listenTo):
		return by(bus.ByStart, "hearing first what the mappers hold that an earlier fetcher gave work to")
	case d.doubtful():
		return by(bus.ByStart, "asking the saver whether this fetcher still runs the job")
	case mappers == 0:
		return by(bus.ByNoMappers, "no mapper is here: start some")
	case d.refusal() != "":
		return by(bus.ByTransform, "no mapper gets work: %s", d.refusal())
	case s.Chunks.Ready > 0 && d.onlyCutOff() != nil:
		return by(bus.ByVersion, "%s", cutOffText(now, d.onlyCutOff()))
	case s.Chunks.Ready > 0 && d.limit.holds(now, d.rate):
		return by(bus.ByRate, "held at the limit of %g objects a second%s: raise the rate", d.rate, withWaiting(s.Waiting))
	case s.Waiting > 0 && s.Chunks.Ready > 0 && d.noneEligible(now):
		return by(bus.ByVersion, "%s of versions that are limited or cut off: add mappers of another version, or change the share", waits(s.Waiting))
	case queued > 0 && uint64(queued)*2 >= s.Chunks.InFlight && s.Saver.CommitSeconds >= slowCommit.Seconds():
		return by(bus.BySaver, "waiting for the saver: %s queued, a commit takes %.0f ms, of it disk sync %.0f ms",
			plural(queued, "result"), s.Saver.CommitSeconds*1000, s.Saver.SyncSeconds*1000)
	case d.outcomes.MostlyFailed() && s.Chunks.Ready > 0:
		return by(bus.ByFailing, "%.0f %% of the objects of the last %d chunks failed or took down their mapper: see the dead letters and the mappers' logs; more mappers do not help",
			100*d.outcomes.FailedShare(), len(d.outcomes))
	case s.Chunks.Ready == 0 && !d.cut && s.Waiting > 0:
		return by(bus.BySource, "mappers wait for the source to be read")
	case s.Chunks.Ready == 0 && d.cut && len(s.Stragglers) > 0 && uint64(len(s.Stragglers)) == s.Chunks.InFlight:
		late := s.Stragglers[0]
		return by(bus.ByStragglers, "waiting for the last %s: %s has had chunk %d for %.0f s", plural(len(s.Stragglers), "chunk"), late.Mapper, late.Chunk, late.Seconds)
	case s.Chunks.Ready == 0 && d.cut && s.Chunks.InFlight > 0:
		return by(bus.ByEnd, "the last %s in work", areChunks(int(s.Chunks.InFlight)))
	case s.Waiting == 0 && s.Chunks.Ready > 0 && s.Chunks.InFlight == 0:
		return by(bus.ByMappers, "%s idle, and no request for work is open: are they ready? See their logs", allMappers(mappers))
	case s.Waiting == 0 && s.Chunks.Ready > 0:
		return by(bus.ByMappers, "%s busy: add mappers", allMappers(mappers))
	}
	return nil
}

// stands says whether nothing is handed out or saved for this cause: what is left
// takes as long as the cause lasts, and nobody knows how long that is.
func stands(h *bus.HeldBack) bool {
	if h == nil {
		return false
	}
	standing := []bus.Cause{bus.ByStart, bus.ByNATS, bus.BySaverAway, bus.BySavers, bus.ByFull, bus.ByPause, bus.ByNoMappers, bus.ByTransform}
	return slices.Contains(standing, h.By)
}

func withWaiting(workers int) string {
	if workers == 0 {
		return ""
	}
	return ", with " + plural(workers, "worker") + " waiting"
}

// onlyCutOff is a version that is cut off, if the mappers that are here are all of such; else nil.
func (d *coordinator) onlyCutOff() *version {
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

// cutOffText says why nothing but probes is handed out, and what to do.
func cutOffText(now time.Time, v *version) string {
	probe := "has one chunk as a probe"
	if rest := v.Breaker.ProbeIn(now); rest > 0 {
		probe = fmt.Sprintf("gets one chunk as a probe in %.0f s", rest.Seconds())
	}
	return fmt.Sprintf("version %s is cut off, as %.0f %% of its last objects failed, and no other is here; it %s: the dead letters say why; "+
		"mend it or start another version, or have it go on with chunkline control allow", v.Name, 100*v.Breaker.FailedShare(), probe)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func areChunks(n int) string {
	if n == 1 {
		return "chunk is"
	}
	return fmt.Sprintf("%d chunks are", n)
}

func allMappers(n int) string {
	if n == 1 {
		return "the one mapper is"
	}
	return fmt.Sprintf("all %d mappers are", n)
}

func waits(n int) string {
	if n == 1 {
		return "the one worker that waits is"
	}
	return fmt.Sprintf("all %d workers that wait are", n)
}
