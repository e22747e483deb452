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

// counted compares the fetcher's final status with the sink.
func (w *watch) counted(s report.Status) {
	held := w.c.sink.Summary()
	if s.State != report.StateDone || s.Progress != 1 || s.Chunks.Saved != held.Chunks || s.Chunks.Cut != held.Chunks ||
		s.Objects != (report.ObjectCounts{Cut: uint64(w.c.s.objects), Saved: held.Objects, Outputs: held.Outputs, Dead: held.Dead}) {
		w.wrong("the job is done with status %+v, the sink holds %+v", s, held)
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

// complete compares the sink with the source: every object has its output in its place, or one dead
// letter with a cause.
func (w *watch) complete() {
	dead := map[int]bool{}
	for _, l := range w.c.letters() {
		i := int(l.Ordinal)
		switch {
		case dead[i]:
			w.wrong("object %d is dead twice", i)
		case string(l.Object) != w.c.s.user(i):
			w.wrong("dead letter of object %d holds %q", i, l.Object)
		case i == w.c.s.poison, w.c.s.spoilt(i, l):
		case !w.c.s.bad[i]:
			w.wrongly(i, l)
		case l.Attempts != 0 || !strings.Contains(l.Error, fmt.Sprintf("line %d", i+1)):
			w.wrong("dead letter of the unreadable object %d is %+v", i, l)
		}
		dead[i] = true
	}
	for i := range w.c.s.bad {
		if !dead[i] {
			w.wrong("object %d cannot be read and is not dead", i)
		}
	}
	if i := w.c.s.poison; i >= 0 && !dead[i] {
		w.wrong("object %d kills whoever touches it and is not dead", i)
	}
	for first := 0; first < w.c.s.objects; first += w.c.s.size {
		w.right(first, dead)
	}
	if s := w.c.sink.Summary(); s.Output == "" || s.Dead != uint64(len(dead)) || s.Objects != uint64(w.c.s.objects) {
		w.wrong("the sink's summary is %+v, want all objects, %d of them dead, and finished", s, len(dead))
	}
	for id, confirmed := range w.first {
		now := w.c.sink.Pieces(id)
		for _, then := range confirmed {
			if !slices.ContainsFunc(now, func(r sink.Result) bool {
				return pieceOf(r) == pieceOf(then) && string(r.Outputs) == string(then.Outputs) && string(r.Dead) == string(then.Dead)
			}) {
				w.wrong("piece %s is not what was confirmed", pieceOf(then))
			}
		}
	}
}

// right checks that the sink holds each object of the chunk that begins with object first once,
// with the right output.
func (w *watch) right(first int, dead map[int]bool) {
	id, end := chunk.ID(first/w.c.s.size), min(first+w.c.s.size, w.c.s.objects)
	next := first
	for _, r := range w.c.sink.Pieces(id) {
		if r.First != uint64(next) || r.From != next-first || r.Of != end-first {
			w.wrong("the sink holds piece %s of %d objects with ordinal %d, where object %d is missing", pieceOf(r), r.Of, r.First, next)
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
		case got != want.String() && slices.Contains(w.believed[pieceOf(r)], got):
			w.situation["liar believed"] = true
		case got != want.String():
			w.wrong("the sink holds of piece %s\n%s\nwant\n%s", pieceOf(r), got, want.String())
		}
	}
	if next != end {
		w.wrong("the sink holds chunk %d up to object %d, want %d to %d", id, next-1, first, end-1)
	}
}

// wrongly checks that an innocent object is dead for a reason: two mappers had announced it, or its
// piece had MAX_ATTEMPTS careful attempts.
func (w *watch) wrongly(i int, l chunk.DeadLetter) {
	switch announced := w.announced[uint64(i)]; {
	case strings.Contains(l.Error, "took down") && w.c.s.attempts > 0:
		w.situation["chunk given up"] = true
		if n := w.careful[uint64(i)]; n < w.c.s.attempts {
			w.wrong("object %d was given up after %d careful attempts, MAX_ATTEMPTS is %d: %+v", i, n, w.c.s.attempts, l)
		}
	case w.c.s.fair:
		w.wrong("innocent object %d is dead: %+v", i, l)
	case len(announced) < 2:
		w.wrong("innocent object %d is dead, announced by %v only: %+v", i, slices.Sorted(maps.Keys(announced)), l)
	default:
		w.situation["innocent object skipped"] = true
	}
}
