package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// The spans of a chunk. Each has the one before it as its parent, but for
// wait, whose parent is always fetch: a chunk that is handed out again, or to
// a second mapper, begins another branch there.
const (
	Fetch  = "fetch"  // fetcher: it is cut from the source
	Wait   = "wait"   // fetcher: ready, until it is handed out
	Map    = "map"    // mapper: its objects are mapped
	Save   = "save"   // mapper: the result is on its way to the saver, until that has answered
	Commit = "commit" // saver: the result waits for its commit and is made durable
)

// A Context is a place in a trace: what is to be the parent of other spans,
// here or in another process. The zero Context is no place.
type Context struct{ span oteltrace.SpanContext }

// nowhere is below no span. A span outlives the request that began it, so it
// hangs below places that travel and never below the context of a call.
var nowhere = context.Background()

const (
	keyParent = "traceparent"
	keyState  = "tracestate"
)

// Headers returns the context as the values of W3C's traceparent and
// tracestate; empty ones are not to be sent.
func (c Context) Headers() (parent, state string) {
	if !c.span.IsValid() {
		return "", ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(oteltrace.ContextWithSpanContext(nowhere, c.span), carrier)
	return carrier[keyParent], carrier[keyState]
}

// Parent reads what Headers returned. What is not understood is no place: a
// strange header is no reason to refuse work.
func (t *Tracer) Parent(parent, state string) Context {
	if t == nil || parent == "" {
		return Context{}
	}
	carrier := propagation.MapCarrier{keyParent: parent, keyState: state}
	ctx := propagation.TraceContext{}.Extract(nowhere, carrier)
	return Context{oteltrace.SpanContextFromContext(ctx)}
}

// A Tracer begins spans. Nil is one that is off.
type Tracer struct{ tracer oteltrace.Tracer }

// Begin begins a trace with its first span, at start.
func (t *Tracer) Begin(name string, start time.Time) Span {
	if t == nil {
		return Span{}
	}
	_, span := t.tracer.Start(nowhere, name, oteltrace.WithTimestamp(start), oteltrace.WithNewRoot())
	return Span{span}
}

// Start begins a span under parent, at start. Where there is no parent there
// is no span: the trace of a chunk begins in the fetcher only.
func (t *Tracer) Start(parent Context, name string, start time.Time) Span {
	if t == nil || !parent.span.IsValid() {
		return Span{}
	}
	ctx := oteltrace.ContextWithRemoteSpanContext(nowhere, parent.span)
	_, span := t.tracer.Start(ctx, name, oteltrace.WithTimestamp(start))
	return Span{span}
}

// A Span is something that takes time. The zero Span is none.
type Span struct{ span oteltrace.Span }

// Context is the span's place.
func (s Span) Context() Context {
	if s.span == nil {
		return Context{}
	}
	return Context{s.span.SpanContext()}
}

// Text notes an attribute, under its name as a field of the log.
func (s Span) Text(name, value string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(prefix+name, value))
	}
}

// Number is Text for a number.
func (s Span) Number(name string, value uint64) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int64(prefix+name, int64(value)))
	}
}

// Flag is Text for a truth.
func (s Span) Flag(name string, value bool) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Bool(prefix+name, value))
	}
}

const prefix = "chunkline."

// Note notes an error that was overcome.
func (s Span) Note(err error) {
	if s.span != nil && err != nil {
		s.span.RecordError(err)
	}
}

// Fail notes why what the span stands for did not succeed.
func (s Span) Fail(err error) {
	if s.span != nil && err != nil {
		s.span.RecordError(err)
		s.span.SetStatus(codes.Error, err.Error())
	}
}

// End ends the span now.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}
