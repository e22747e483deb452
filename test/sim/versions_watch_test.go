package sim

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// given is a version under one fetcher.
type given struct {
	epoch   uint64
	version string
}

// amount is how much a version got.
type amount struct {
	pieces  uint64
	objects int
}

// isByzantine reports whether a connection is that of a Byzantine mapper.
func isByzantine(name string) bool { return strings.HasPrefix(name, "byzantine") }

// seeVersion checks that the version of a mapper may get a piece. The caller holds mu.
func (w *watch) seeVersion(p bustest.Packet, work wire.Work, g *wire.Granted) {
	if isByzantine(p.To) {
		return
	}
	version := w.c.s.versionOf(p.To)
	v := w.c.s.release(version)
	switch {
	case work.Shadow && v.shadows == 0 && !v.ordered:
		w.wrong("%s handed a copy of piece %s to %s, but version %s does not shadow", p.From, g.Piece(), p.To, version)
	case work.Shadow:
		w.situation["copy handed out"] = true
		if work.Epoch == w.epoch {
			w.durable(g.Piece(), p.From)
		}
	case v.shadows > 0:
		w.wrong("%s handed piece %s to %s, want a copy only: version %s shadows", p.From, g.Piece(), p.To, version)
	case v.share == 0 && !v.ordered:
		w.wrong("%s handed piece %s to %s, want none: the share of version %s is 0", p.From, g.Piece(), p.To, version)
	default:
		so := w.given[given{work.Epoch, version}]
		w.given[given{work.Epoch, version}] = amount{so.pieces + 1, so.objects + g.Chunk.Count}
		for i := range g.Chunk.Count {
			w.got[gotten(p.To, g.Chunk.First+uint64(i))] = time.Now()
		}
	}
}

// seeSave checks that a mapper asks to save only pieces that it got, and no copies. The caller
// holds mu.
func (w *watch) seeSave(p bustest.Packet) {
	s, err := wire.DecodeSave(p.Message)
	// Byzantine and blurred mappers may have got anything; fetchers save dead letters.
	if err != nil || isByzantine(p.From) || w.blurred[p.From] || slices.Contains(w.c.fetchers, p.From) {
		return
	}
	for _, r := range s.Results {
		w.sent[listed{s.Mapper.ID, r.Piece()}] = true
		for i := range r.Objects {
			if !s.Shadow && w.got[gotten(p.From, r.First+uint64(i))].IsZero() {
				w.wrong("%s asked to save piece %s, which it did not get, or got as a copy", p.From, r.Piece())
				break
			}
		}
	}
}

// seeCompared checks that the result of a copy was not committed. The caller holds mu.
func (w *watch) seeCompared(p bustest.Packet, status wire.SaveStatus) {
	w.situation["result compared"] = true
	if status == wire.SaveCommitted {
		w.wrong("%s committed a copy that %s made for comparison", p.From, p.To)
	}
}

// forget notes that pieces were requeued.
func (w *watch) forget(gone []chunk.Piece) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range gone {
		w.first[p.Chunk] = slices.DeleteFunc(w.first[p.Chunk], func(r sink.Result) bool { return pieceOf(r) == p })
	}
}

// unknown forgets when a mapper got its objects: a grant in parts may contain some of them again.
// The caller holds mu.
func (w *watch) unknown(mapper string) {
	maps.DeleteFunc(w.got, func(object string, _ time.Time) bool { return strings.HasPrefix(object, mapper+" ") })
	w.blurred[mapper] = true
}

// inTime checks results before their commit: one comes too late if its mapper got the piece before
// its version was fenced.
func (w *watch) inTime(group []sink.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range group {
		fenced, got := w.c.sink.LastFenced(r.Version), w.got[gotten(r.Mapper, r.First)]
		switch {
		case fenced.IsZero() || got.IsZero() || isByzantine(r.Mapper):
		case r.Term < w.c.sink.Term(r.Version):
			w.situation["result too late"] = true
		case got.Before(fenced):
			w.wrong("piece %s of %s was about to be committed, although version %s was fenced after the mapper got it", pieceOf(r), r.Mapper, r.Version)
		}
	}
}

// madeBy checks that the version that made a piece may save.
func (w *watch) madeBy(r sink.Result) {
	if v := w.c.s.release(r.Version); v.shadows > 0 || v.share == 0 && !v.ordered {
		w.wrong("the sink holds piece %s of version %s, want no result of this version", pieceOf(r), r.Version)
	}
}

// shares compares what versions got from a fetcher with their shares.
func (w *watch) shares(s report.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, seen := 0, true
	for _, v := range s.Versions {
		got := w.given[given{s.Epoch, v.Version}]
		if got.pieces > v.HandedOut {
			w.wrong("version %s got %d pieces, but the fetcher counts %d", v.Version, got.pieces, v.HandedOut)
		}
		all, seen = all+got.objects, seen && got.pieces == v.HandedOut
	}
	for _, v := range s.Versions {
		share, got := w.c.s.release(v.Version), w.given[given{s.Epoch, v.Version}].objects
		if share.ordered || share.share == 1 || share.share == 0 || !seen { // what a fetcher hands out while it is offline is not seen
			continue
		}
		w.situation["version held to its share"] = true
		// One chunk at first, then its share of what the others get.
		if most := float64(w.c.s.size) + share.share/(1-share.share)*float64(all-got); float64(got) > most+1e-9 {
			w.wrong("version %s got %d of %d objects with a share of %g", v.Version, got, all, share.share)
		}
	}
	for what, line := range map[string]string{"version fenced": "circuit breaker opened", "probe of a version went well": "circuit breaker closed: the probe succeeded"} {
		if w.c.log.lines(line) > 0 {
			w.situation[what] = true
		}
	}
}
