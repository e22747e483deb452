package trace

import (
	"errors"
	"testing"
	"time"

	sdktest "go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// chunk makes all calls that a chunk on its way makes, and returns what
// travels in the end.
func chunk(t *Tracer, err error) (parent, state string) {
	span := t.Begin(Fetch, time.Now())
	span.End()
	for _, name := range []string{Wait, Map, Save, Commit} {
		parent, state = span.Context().Headers()
		span = t.Start(t.Parent(parent, state), name, time.Now())
		span.Number("chunk", 1)
		span.Text("mapper", "a")
		span.Flag("backup", true)
		span.Note(err)
		span.Fail(err)
		span.End()
	}
	return parent, state
}

// TestOff: what is off makes nothing, and costs no allocation.
func TestOff(t *testing.T) {
	err := errors.New("no")
	least := 1.0
	for range 10 { // what else this process does is counted, too, but not each time
		least = min(least, testing.AllocsPerRun(100, func() { chunk(nil, err) }))
	}
	if least != 0 {
		t.Errorf("%g allocations a chunk while off, want 0", least)
	}
	if parent, state := chunk(nil, nil); parent != "" || state != "" {
		t.Errorf("sends %q, %q while off", parent, state)
	}
}

func BenchmarkOff(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		chunk(nil, nil)
	}
}

// TestParent: what travels is W3C's, and what is not is no parent.
func TestParent(t *testing.T) {
	t.Parallel()
	memory := sdktest.NewInMemoryExporter()
	tracer := To(memory)
	const id, state = "0af7651916cd43dd8448eb211c80319c", "vendor=x:1,other=y"
	const parent = "00-" + id + "-b7ad6b7169203331-01"
	span := tracer.Start(tracer.Parent(parent, state), Map, time.Now())
	span.End()
	got, gotState := span.Context().Headers()
	if len(got) != len(parent) || got[:36] != parent[:36] || got[36:52] == parent[36:52] || gotState != state {
		t.Errorf("goes on as %q, %q", got, gotState)
	}
	if s := memory.GetSpans(); len(s) != 1 || s[0].Parent.SpanID().String() != "b7ad6b7169203331" || s[0].SpanContext.TraceID().String() != id {
		t.Errorf("made %+v", s)
	}
	for _, strange := range []string{"", "x", parent[:54], "ff" + parent[2:], "00-00000000000000000000000000000000-b7ad6b7169203331-01", parent + parent} {
		if span := tracer.Start(tracer.Parent(strange, state), Map, time.Now()); span.span != nil {
			t.Errorf("begins a span under %q", strange)
		}
	}
	// A parent that is not sampled: no span is made, and the next hears so, too.
	span = tracer.Start(tracer.Parent(parent[:53]+"00", ""), Map, time.Now())
	if again, _ := span.Context().Headers(); again == "" {
		t.Error("the trace ends where it is not sampled")
	}
}
