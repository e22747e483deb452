package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// given is what a version got of one fetcher.
type given struct {
	epoch   uint64
	version string
}

// isLiar says whether a connection is that of a mapper that does as it likes.
func isLiar(name string) bool { return strings.HasPrefix(name, "liar") }

// seeVersion holds a chunk on its way to a mapper against what its version may
// have. The caller holds mu.
func (w *watch) seeVersion(p bustest.Packet, work wire.Work) {
	if isLiar(p.To) {
		return
	}
	version := w.c.s.versionOf(p.To)
	v := w.c.s.release(version)
	switch {
	case work.Shadow && v.shadows == 0 && !v.ordered:
		w.wrong("%s gives a copy of chunk %d to %s, whose version %s does not shadow", p.From, work.Chunk.ID, p.To, version)
	case work.Shadow:
		w.situation["copy handed out"] = true
		if work.Epoch == w.epoch {
			w.durable(work.Chunk.ID, p.From)
		}
	case v.shadows > 0:
		w.wrong("%s gives chunk %d to %s, whose version %s shadows", p.From, work.Chunk.ID, p.To, version)
	case v.share == 0 && !v.ordered:
		w.wrong("%s gives chunk %d to %s, whose version %s is to have none", p.From, work.Chunk.ID, p.To, version)
	default:
		w.given[given{work.Epoch, version}]++
		w.got[gotten(p.To, work.Chunk.ID)] = time.Now()
	}
}

// seeSave looks at a result: who got a copy does not ask to have it saved. The
// caller holds mu.
func (w *watch) seeSave(p bustest.Packet) {
	s, err := wire.DecodeSave(p.Message)
	if err != nil || isLiar(p.From) || w.c.s.pad > 0 || slices.Contains(w.c.fetchers, p.From) { // in parts; dead letters of a fetcher
		return
	}
	if !s.Shadow && w.got[gotten(p.From, s.Chunk)].IsZero() {
		w.wrong("%s would save chunk %d, which it got to compare, or not at all", p.From, s.Chunk)
	}
}

// seeCompared looks at the answer to a result that is there. The caller holds mu.
func (w *watch) seeCompared(p bustest.Packet, a wire.SaveAnswer) {
	if _, shadow := p.Question.Header["Chunkline-Shadow"]; !shadow {
		return
	}
	w.situation["result compared"] = true
	if a.Status == wire.SaveCommitted {
		w.wrong("%s has committed what %s made to compare", p.From, p.To)
	}
}

// forget notes that chunks were put back to work.
func (w *watch) forget(gone []chunk.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range gone {
		delete(w.first, id)
	}
}

// inTime holds results that are to be committed against the moment in which their version
// was fenced: what it was given before comes too late.
func (w *watch) inTime(group []sink.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range group {
		fenced, got := w.c.sink.LastFenced(r.Version), w.got[gotten(r.Mapper, r.Chunk)]
		switch {
		case fenced.IsZero() || got.IsZero() || isLiar(r.Mapper):
		case r.Term < w.c.sink.Term(r.Version):
			w.situation["result too late"] = true
		case got.Before(fenced):
			w.wrong("chunk %d of %s would be committed, whose version %s was fenced after it got it", r.Chunk, r.Mapper, r.Version)
		}
	}
}

// madeBy holds the version that made a chunk against what versions may save.
func (w *watch) madeBy(id chunk.ID, version string) {
	if v := w.c.s.release(version); v.shadows > 0 || v.share == 0 && !v.ordered {
		w.wrong("the sink holds chunk %d as version %s made it, of which nothing is to be saved", id, version)
	}
}

// shares holds what versions got of a fetcher against their shares.
func (w *watch) shares(s report.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all uint64
	for _, v := range s.Versions {
		all += v.HandedOut
	}
	for _, v := range s.Versions {
		share, got := w.c.s.release(v.Version), w.given[given{s.Epoch, v.Version}]
		if got > v.HandedOut {
			w.wrong("version %s got %d chunks, the fetcher says %d", v.Version, got, v.HandedOut)
		}
		if share.ordered || share.share == 1 || share.share == 0 {
			continue
		}
		w.situation["version held to its share"] = true
		// One to begin with, and then its part of what the others get.
		if most := 1 + share.share/(1-share.share)*float64(all-v.HandedOut); float64(v.HandedOut) > most+1e-9 {
			w.wrong("version %s got %d of %d chunks, its share is %g", v.Version, v.HandedOut, all, share.share)
		}
	}
	for what, line := range map[string]string{"version fenced": "circuit breaker opened", "probe of a version went well": "circuit breaker closed: the probe succeeded"} {
		if w.c.log.lines(line) > 0 {
			w.situation[what] = true
		}
	}
}
