package app

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/test/loopback"
)

// TestTracing: traces are off unless they are asked for, -h says how, wrong
// settings are wrong usage, and a missing collector is logged once.
func TestTracing(t *testing.T) {
	for _, name := range []string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_SAMPLER"} {
		t.Setenv(name, "")
	}
	if text := usage("mapper", "maps.", nil); !strings.Contains(text, "OTEL_EXPORTER_OTLP_ENDPOINT") {
		t.Errorf("-h has no text about traces: %s", text)
	}
	var out bytes.Buffer
	log := zerolog.New(&out)
	tracer, stop, err := Tracing("j", "chunkline-mapper", log)
	if err != nil || tracer != nil || out.Len() > 0 {
		t.Fatalf("without settings: %v, %v, logged %s", tracer, err, out.String())
	}
	stop()

	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	if _, _, err := Tracing("j", "chunkline-mapper", log); Code(err) != ExitUsage {
		t.Errorf("grpc: %v, want wrong usage", err)
	}

	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+loopback.Address())
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1") // each span is a delivery
	if tracer, stop, err = Tracing("j", "chunkline-mapper", log); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		tracer.Begin("fetch", time.Now()).End()
	}
	stop()
	if got := out.String(); strings.Count(got, "traces are not delivered") != 1 || strings.Count(got, "\n") != 2 {
		t.Errorf("logged %s, want that chunks are traced, and once that traces are not delivered", got)
	}
}
