package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/trace/tracetest"
)

// trees writes the trace of each chunk as a tree, its spans in the order in
// which they began: "fetch[wait#1[map[save[commit]]]]".
func trees(t *testing.T, spans []tracetest.Span) map[string]string {
	t.Helper()
	slices.SortStableFunc(spans, func(a, b tracetest.Span) int { return a.Start.Compare(b.Start) })
	children := map[string][]tracetest.Span{}
	for _, s := range spans {
		if s.End.Before(s.Start) {
			t.Errorf("%s of chunk %s ends %s before it begins", s.Name, s.Attributes["chunkline.chunk"], s.Start.Sub(s.End))
		}
		children[s.Parent] = append(children[s.Parent], s)
	}
	seen := 0
	var draw func(s tracetest.Span) string
	draw = func(s tracetest.Span) string {
		seen++
		text := s.Name
		if s.Name == "wait" {
			text += "#" + s.Attributes["chunkline.attempt"]
		}
		if s.Failed != "" {
			text += "!"
		}
		var below []string
		for _, c := range children[s.ID] {
			if c.Trace != s.Trace {
				t.Errorf("%s is in another trace than its parent %s", c.Name, s.Name)
			}
			if c.Attributes["chunkline.chunk"] != s.Attributes["chunkline.chunk"] {
				t.Errorf("%s of chunk %s is below %s of another", c.Name, c.Attributes["chunkline.chunk"], s.Name)
			}
			below = append(below, draw(c))
		}
		if below != nil {
			text += "[" + strings.Join(below, " ") + "]"
		}
		return text
	}
	drawn, traces := map[string]string{}, map[string]bool{}
	for _, root := range children[""] {
		id := root.Attributes["chunkline.chunk"]
		if drawn[id] != "" || traces[root.Trace] {
			t.Errorf("chunk %s has more than one trace, or shares one", id)
		}
		traces[root.Trace] = true
		drawn[id] = draw(root)
	}
	if seen != len(spans) {
		t.Errorf("%d of %d spans hang below no root", len(spans)-seen, len(spans))
	}
	return drawn
}

const whole = "[map[save[commit]]]"

func (w *world) wantTrees(spans *tracetest.Spans, chunks int, special map[int]string) {
	w.t.Helper()
	got := trees(w.t, spans.All())
	if len(got) != chunks {
		w.t.Errorf("chunks %v have a trace, want %d", slices.Sorted(maps.Keys(got)), chunks)
	}
	for i := range chunks {
		want := special[i]
		if want == "" {
			want = "fetch[wait#1" + whole + "]"
		}
		if got := got[fmt.Sprint(i)]; got != want {
			w.t.Errorf("chunk %d: %s, want %s", i, got, want)
		}
	}
}

// TestTrace: each chunk is one trace of five nested spans; after a mapper is killed, the trace goes
// on with the next one.
func TestTrace(t *testing.T) {
	run(t, 10, 1, func(t *testing.T, w *world) {
		var spans *tracetest.Spans
		w.tracer, spans = tracetest.New()
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		a := w.mapper("a", "users?duration=10s", twoWorkers)
		pass(15 * time.Second) // it has saved chunks 0 and 1, and holds 2 and 3
		a.crash()
		w.mapper("b", "users?duration=1s", nil)
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		killed := "fetch[wait#1[map!] wait#2" + whole + "]"
		w.wantTrees(spans, 10, map[int]string{2: killed, 3: killed})
		for _, s := range spans.All() {
			mapper := map[bool]string{true: "b", false: "a"}[s.Attributes["chunkline.attempt"] == "2" || s.Attributes["chunkline.chunk"] > "3"]
			if s.Name != "fetch" && s.Attributes["chunkline.mapper"] != mapper {
				t.Errorf("%s of chunk %s names mapper %q, want %q", s.Name, s.Attributes["chunkline.chunk"], s.Attributes["chunkline.mapper"], mapper)
			}
			if took := s.End.Sub(s.Start); s.Name == "map" && s.Failed == "" && took != map[string]time.Duration{"a": 10 * time.Second, "b": time.Second}[mapper] {
				t.Errorf("map of chunk %s by %s took %s", s.Attributes["chunkline.chunk"], mapper, took)
			}
		}
	})
}

// TestTracePieces: each piece of a chunk is a branch of the chunk's trace; pieces that travel together do not mix.
func TestTracePieces(t *testing.T) {
	run(t, 7, 3, func(t *testing.T, w *world) {
		var spans *tracetest.Spans
		w.tracer, spans = tracetest.New()
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users", nil) // it gets one object, which shows how fast it is, and then all the rest
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		w.wantTrees(spans, 3, map[int]string{0: "fetch[wait#1" + whole + " wait#1" + whole + "]"})
		if h := w.tape.handed(); len(h) != 4 || h[3].of != 3 {
			t.Errorf("handed out %+v, want one piece, then three at once", h)
		}
	})
}

// TestTraceBackup: a backup attempt is another branch of the trace, and the losing attempt is
// marked as failed.
func TestTraceBackup(t *testing.T) {
	run(t, 2, 1, func(t *testing.T, w *world) {
		var spans *tracetest.Spans
		w.tracer, spans = tracetest.New()
		w.saver("saver")
		f := w.fetcher("fetcher", func(c *fetcher.Config) { c.Speculate = true })
		w.mapper("slow", "users?duration=1m", nil)
		w.mapper("fast", "users?duration=1s", nil)
		if err := f.within(30 * time.Second); err != nil {
			t.Fatal(err)
		}
		w.wantTrees(spans, 2, map[int]string{0: "fetch[wait#1[map!] wait#1" + whole + "]"})
		backups := 0
		for _, s := range spans.All() {
			if s.Attributes["chunkline.backup"] == "true" {
				backups++
			}
		}
		if backups != 1 {
			t.Errorf("%d waits of backup attempts, want 1", backups)
		}
	})
}

// TestTraceErrors: a full sink and a missing saver are recorded in the trace, which goes on with
// the next try.
func TestTraceErrors(t *testing.T) {
	run(t, 1, 1, func(t *testing.T, w *world) {
		var spans *tracetest.Spans
		w.tracer, spans = tracetest.New()
		var full atomic.Int64
		full.Store(2)
		w.sink.OnCommit = func([]sink.Result) error {
			if full.Add(-1) >= 0 {
				return sink.ErrFull
			}
			return nil
		}
		s := w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users?duration=5s", nil)
		pass(time.Second)
		s.crash()
		pass(5 * time.Second)
		w.saver("saver")
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		w.wantTrees(spans, 1, map[int]string{0: "fetch[wait#1[map[save[commit! commit! commit]]]]"})
		for _, s := range spans.All() {
			if s.Name == "save" && (len(s.Errors) == 0 || !strings.Contains(s.Errors[0], "no responders")) {
				t.Errorf("save notes %q, want that there was no saver", s.Errors)
			}
		}
	})
}

// TestTraceOff: a mapper without tracing passes the trace context on, so the commit is in the
// chunk's trace.
func TestTraceOff(t *testing.T) {
	run(t, 1, 1, func(t *testing.T, w *world) {
		tracer, spans := tracetest.New()
		w.mapper("a", "users", nil)
		w.tracer = tracer
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		w.wantTrees(spans, 1, map[int]string{0: "fetch[wait#1[commit]]"})
	})
}
