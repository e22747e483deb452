// Package trace follows chunks through the roles as OpenTelemetry traces: one
// trace a chunk, with the spans fetch, wait, map, save and commit.
//
// It is off unless the standard OTEL_* variables ask for it, and costs
// nothing then: a nil *Tracer and zero Spans and Contexts may be used, do
// nothing and allocate nothing. A collector that is slow or away slows nobody
// down: spans wait in a bounded queue, and those that do not fit are lost.
//
// Nothing else of chunkline imports OpenTelemetry.
package trace
