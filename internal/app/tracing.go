package app

import (
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/trace"
)

// TracingHelp explains how to turn on traces.
const TracingHelp = "Each chunk is traced if OTEL_EXPORTER_OTLP_ENDPOINT names a collector (OTLP over HTTP, such as http://collector:4318), or with\n" +
	"OTEL_TRACES_EXPORTER=otlp. The other OTEL_* variables of OpenTelemetry set the details, such as the sampler and the service name."

// Tracing sets up traces according to the OTEL_* variables; without these variables the tracer is nil. An unreachable
// collector is logged once. stop delivers the remaining spans, within two seconds.
func Tracing(job, service string, log zerolog.Logger) (t *trace.Tracer, stop func(), err error) {
	away := NewTrouble(log, zerolog.WarnLevel, 0, "traces are not delivered, still trying", "traces are delivered again")
	strange := Sampled(log)
	t, stop, err = trace.New(trace.Options{
		Service: service, Version: Version(), Host: Hostname(), Job: job, Report: away.Note,
		Warn: func(err error) { strange.Warn().Err(err).Msg("OpenTelemetry reports an error") },
	})
	if err != nil {
		return nil, nil, Usage("%w", err)
	}
	if t != nil {
		log.Info().Str("service", service).Msg("chunks are traced")
	}
	return t, stop, nil
}
