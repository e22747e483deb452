package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// The spans of a chunk. Each has the previous one as its parent, except wait, whose parent is always fetch: a chunk
// that is handed out again, or to a second mapper, begins another branch there.
const (
	Fetch  = "fetch"  // fetcher: the chunk is cut from the source
	Wait   = "wait"   // fetcher: the chunk is ready, until it is handed out
	Map    = "map"    // mapper: the objects are mapped
	Save   = "save"   // mapper: the result is sent to the saver, until the saver has answered
	Commit = "commit" // saver: the result waits for its commit and is made durable
)

// A Context is a position in a trace: the parent of other spans, here or in another process. The zero Context has no
// position.
type Context struct{ span oteltrace.SpanContext }

// nowhere has no parent span. A span outlives the request that began it, so its parent is always passed as a Context
// and never in the context of a call.
var nowhere = context.Background()

const (
	keyParent = "traceparent"
	keyState  = "tracestate"
)

// Headers returns the context as the values of W3C's traceparent and tracestate; do not send empty ones.
func (c Context) Headers() (parent, state string) {
	if !c.span.IsValid() {
		return "", ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(oteltrace.ContextWithSpanContext(nowhere, c.span), carrier)
	return carrier[keyParent], carrier[keyState]
}

// Parent parses the values that Headers returned. For an invalid value it returns the zero Context: a bad trace header
// is no reason to refuse work.
func (t *Tracer) Parent(parent, state string) Context {
	if t == nil || parent == "" {
		return Context{}
	}
	carrier := propagation.MapCarrier{keyParent: parent, keyState: state}
	ctx := propagation.TraceContext{}.Extract(nowhere, carrier)
	return Context{oteltrace.SpanContextFromContext(ctx)}
}

// A Tracer begins spans. A nil Tracer does nothing.
type Tracer struct{ tracer oteltrace.Tracer }

// Begin begins a trace with its first span, at start.
func (t *Tracer) Begin(name string, start time.Time) Span {
	if t == nil {
		return Span{}
	}
	_, span := t.tracer.Start(nowhere, name, oteltrace.WithTimestamp(start), oteltrace.WithNewRoot())
	return Span{span}
}

// Start begins a span under parent, at start. Without a parent it returns the zero Span: only the fetcher begins the
// trace of a chunk.
func (t *Tracer) Start(parent Context, name string, start time.Time) Span {
	if t == nil || !parent.span.IsValid() {
		return Span{}
	}
	ctx := oteltrace.ContextWithRemoteSpanContext(nowhere, parent.span)
	_, span := t.tracer.Start(ctx, name, oteltrace.WithTimestamp(start))
	return Span{span}
}

// A Span is a timed part of a trace. The zero Span does nothing.
type Span struct{ span oteltrace.Span }

// Context returns the span's position.
func (s Span) Context() Context {
	if s.span == nil {
		return Context{}
	}
	return Context{s.span.SpanContext()}
}

// Text sets an attribute, named like the field of the log.
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

// Flag is Text for a boolean.
func (s Span) Flag(name string, value bool) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Bool(prefix+name, value))
	}
}

const prefix = "chunkline."

// Note records an error from which the operation recovered.
func (s Span) Note(err error) {
	if s.span != nil && err != nil {
		s.span.RecordError(err)
	}
}

// Fail records why the operation failed.
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
