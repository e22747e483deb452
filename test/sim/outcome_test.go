package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
)

// checkCounts compares the fetcher's final status with the sink.
func (w *watch) checkCounts(s report.Status) {
	held := w.c.sink.Summary()
	if s.State != report.StateDone || s.Progress != 1 || s.Chunks.Saved != held.Chunks || s.Chunks.Cut != held.Chunks ||
		s.Objects != (report.ObjectCounts{Cut: uint64(w.c.s.objects), Saved: held.Objects, Outputs: held.Outputs, Dead: held.Dead}) {
		w.wrong("the job is done: got status %+v, but the sink holds %+v", s, held)
	}
	w.shares(s)
	for what, is := range map[string]bool{
		"chunk redelivered": s.Chunks.Redelivered > 0, "backup attempt": s.Chunks.Backups > 0, "takeover": s.Epoch > 1,
	} {
		if is {
			w.happened(what)
		}
	}
}

// checkSink compares the sink with the source: every object has its output in its place, or one dead
// letter with a cause.
func (w *watch) checkSink() {
	dead := map[int]bool{}
	for _, l := range w.c.letters() {
		i := int(l.Ordinal)
		switch {
		case dead[i]:
			w.wrong("object %d has two dead letters", i)
		case string(l.Object) != w.c.s.user(i):
			w.wrong("dead letter of object %d: got the object %q", i, l.Object)
		case i == w.c.s.poison, w.c.s.spoilt(i, l):
		case !w.c.s.bad[i]:
			w.checkGivenUp(i, l)
		case l.Attempts != 0 || !strings.Contains(l.Error, fmt.Sprintf("line %d", i+1)):
			w.wrong("dead letter of the unreadable object %d: got %+v, want its line and no attempt", i, l)
		}
		dead[i] = true
	}
	for i := range w.c.s.bad {
		if !dead[i] {
			w.wrong("object %d cannot be read, want a dead letter", i)
		}
	}
	if i := w.c.s.poison; i >= 0 && !dead[i] {
		w.wrong("object %d crashes every mapper, want a dead letter", i)
	}
	for first := 0; first < w.c.s.objects; first += w.c.s.size {
		w.checkChunk(first, dead)
	}
	if s := w.c.sink.Summary(); s.Output == "" || s.Dead != uint64(len(dead)) || s.Objects != uint64(w.c.s.objects) {
		w.wrong("summary of the sink: got %+v, want all objects, %d of them dead, and finished", s, len(dead))
	}
	for id, confirmed := range w.first {
		now := w.c.sink.Pieces(id)
		for _, then := range confirmed {
			if !slices.ContainsFunc(now, func(r sink.Result) bool {
				return pieceOf(r) == pieceOf(then) && string(r.Outputs) == string(then.Outputs) && string(r.Dead) == string(then.Dead)
			}) {
				w.wrong("piece %s differs from what was confirmed", pieceOf(then))
			}
		}
	}
}

// checkChunk checks that the sink holds each object of the chunk that begins with object first once,
// with the right output.
func (w *watch) checkChunk(first int, dead map[int]bool) {
	id, end := chunk.ID(first/w.c.s.size), min(first+w.c.s.size, w.c.s.objects)
	next := first
	for _, r := range w.c.sink.Pieces(id) {
		if r.First != uint64(next) || r.From != next-first || r.Of != end-first {
			w.wrong("the sink holds piece %s of %d objects with ordinal %d, want a piece that begins with object %d", pieceOf(r), r.Of, r.First, next)
		}
		w.madeBy(r)
		var want strings.Builder
		for i := next; i < next+r.Objects; i++ {
			if !dead[i] {
				want.WriteString(w.c.s.output(i))
			}
		}
		next += r.Objects
		switch got := string(r.Outputs); {
		case got != want.String() && slices.Contains(w.forged[pieceOf(r)], got):
			w.situation["forged result accepted"] = true
		case got != want.String():
			w.wrong("outputs of piece %s: got\n%s\nwant\n%s", pieceOf(r), got, want.String())
		}
	}
	if next != end {
		w.wrong("the sink holds chunk %d up to object %d, want objects %d to %d", id, next-1, first, end-1)
	}
}

// checkGivenUp checks that a harmless object has a dead letter only for a reason: two mappers had
// announced it, or its piece had MAX_ATTEMPTS careful attempts.
func (w *watch) checkGivenUp(i int, l chunk.DeadLetter) {
	switch announced := w.announced[uint64(i)]; {
	case strings.Contains(l.Error, "vanished while they held") && w.c.s.attempts > 0:
		w.situation["chunk given up"] = true
		if n := w.careful[uint64(i)]; n < w.c.s.attempts {
			w.wrong("object %d was given up after %d careful attempts, want MAX_ATTEMPTS, %d: %+v", i, n, w.c.s.attempts, l)
		}
	case w.c.s.fair:
		w.wrong("harmless object %d: got the dead letter %+v, want none", i, l)
	case len(announced) < 2:
		w.wrong("harmless object %d: announced by %v only, got the dead letter %+v", i, slices.Sorted(maps.Keys(announced)), l)
	default:
		w.situation["harmless object skipped"] = true
	}
}
