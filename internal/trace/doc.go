// Package trace follows chunks through the roles as OpenTelemetry traces: one trace for each chunk, with the spans
// fetch, wait, map, save and commit.
//
// It is off unless the standard OTEL_* variables turn it on, and then costs nothing: a nil *Tracer and zero Spans and
// Contexts do nothing and allocate nothing. A collector that is slow or unreachable delays nothing: spans wait in a
// bounded queue, and those that do not fit are lost.
//
// No other package of chunkline imports OpenTelemetry.
package trace
