// Package tracetest keeps spans in memory, so that a test can look at them.
package tracetest

import (
	"time"

	sdktest "go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/chunkline/chunkline/internal/trace"
)

// A Span is a span that has ended.
type Span struct {
	Name, Trace, ID, Parent string // Parent is empty at the root
	Attributes              map[string]string
	Failed                  string   // why; empty if it did not
	Errors                  []string // those that were noted, Failed among them
	Start, End              time.Time
}

// Spans collects the spans of a tracer.
type Spans struct{ memory *sdktest.InMemoryExporter }

// New returns a tracer and the collection of its spans.
func New() (*trace.Tracer, *Spans) {
	memory := sdktest.NewInMemoryExporter()
	return trace.To(memory), &Spans{memory}
}

// All returns the spans in the order in which they ended.
func (s *Spans) All() []Span {
	var all []Span
	for _, stub := range s.memory.GetSpans() {
		span := Span{
			Name: stub.Name, Trace: stub.SpanContext.TraceID().String(), ID: stub.SpanContext.SpanID().String(),
			Attributes: map[string]string{}, Failed: stub.Status.Description, Start: stub.StartTime, End: stub.EndTime,
		}
		if stub.Parent.IsValid() {
			span.Parent = stub.Parent.SpanID().String()
		}
		for _, a := range stub.Attributes {
			span.Attributes[string(a.Key)] = a.Value.String()
		}
		for _, e := range stub.Events {
			for _, a := range e.Attributes {
				if a.Key == "exception.message" {
					span.Errors = append(span.Errors, a.Value.String())
				}
			}
		}
		all = append(all, span)
	}
	return all
}
