package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// counted compares what the fetcher says in the end with the sink.
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

// complete compares the sink with the source: every object is there once, its
// output in its place, or a dead letter with a cause.
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
	for id, then := range w.first {
		if now, _ := w.c.sink.Result(id); string(now.Outputs) != string(then.Outputs) || string(now.Dead) != string(then.Dead) {
			w.wrong("chunk %d is not what was confirmed", id)
		}
	}
}

// right compares what the sink holds of the chunk that begins with object
// first with what it should.
func (w *watch) right(first int, dead map[int]bool) {
	id, end := chunk.ID(first/w.c.s.size), min(first+w.c.s.size, w.c.s.objects)
	var want strings.Builder
	for i := first; i < end; i++ {
		if !dead[i] {
			want.WriteString(w.c.s.output(i))
		}
	}
	r, there := w.c.sink.Result(id)
	got := string(r.Outputs)
	w.madeBy(id, r.Version)
	switch {
	case !there || r.First != uint64(first) || r.Objects != end-first:
		w.wrong("chunk %d is not in the sink with objects %d to %d: %+v", id, first, end-1, r)
	case got != want.String() && slices.Contains(w.believed[id], got):
		w.situation["liar believed"] = true
	case got != want.String():
		w.wrong("the sink holds of chunk %d\n%s\nwant\n%s", id, got, want.String())
	}
}

// wrongly looks for the cause of an innocent object's death: two mappers that
// had announced it, or as many careful attempts of its chunk as MAX_ATTEMPTS.
func (w *watch) wrongly(i int, l chunk.DeadLetter) {
	id := chunk.ID(i / w.c.s.size)
	switch announced := w.announced[uint64(i)]; {
	case strings.Contains(l.Error, "took down") && w.c.s.attempts > 0:
		w.situation["chunk given up"] = true
		if n := w.careful[id]; n < w.c.s.attempts {
			w.wrong("chunk %d was given up after %d careful attempts, MAX_ATTEMPTS is %d: %+v", id, n, w.c.s.attempts, l)
		}
	case w.c.s.fair:
		w.wrong("innocent object %d is dead: %+v", i, l)
	case len(announced) < 2:
		w.wrong("innocent object %d is dead, announced by %v only: %+v", i, slices.Sorted(maps.Keys(announced)), l)
	default:
		w.situation["innocent object skipped"] = true
	}
}
