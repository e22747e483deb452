package bus

import "strings"

// Trace is the place of a chunk in its OpenTelemetry trace, as W3C's headers
// have it. It is carried, never understood or refused, and may be empty.
type Trace struct{ Parent, State string }

const (
	keyTraceParent = "traceparent"
	keyTraceState  = "tracestate"

	maxTraceParent = 128 // bytes; version 00 has 55
	maxTraceState  = 512
)

// fields reads and writes without the closures of the other fields: these are
// on the way of every chunk, and most jobs have no traces.
func (t *Trace) fields(f *fields) {
	if !f.write {
		*t = Trace{Parent: traceText(f.header[keyTraceParent], maxTraceParent)}
		if t.Parent != "" {
			t.State = traceText(f.header[keyTraceState], maxTraceState)
		}
		return
	}
	if parent := traceText(t.Parent, maxTraceParent); parent != "" {
		f.header[keyTraceParent] = parent
		if state := traceText(t.State, maxTraceState); state != "" {
			f.header[keyTraceState] = state
		}
	}
}

// traceText is text if it can travel as a header, else empty.
func traceText(text string, most int) string {
	if len(text) > most || !isPlain(text) || strings.TrimSpace(text) != text {
		return ""
	}
	return text
}
