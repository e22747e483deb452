package trace

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// unset clears what a developer's environment may have.
func unset(t *testing.T) {
	t.Helper()
	for _, name := range []string{envDisabled, envExporter, envSampler, envRatio, envEndpoint, envEndpoint2, envProtocol, envProtocol2, "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"} {
		t.Setenv(name, "")
	}
}

func TestIsOn(t *testing.T) {
	const at = "http://localhost:4318"
	for _, test := range []struct {
		env  string // NAME=value, separated by blanks
		on   bool
		want string // what the error says; empty: none
	}{
		{"", false, ""},
		{envEndpoint + "=" + at, true, ""},
		{envEndpoint2 + "=" + at + "/v1/traces", true, ""},
		{envExporter + "=otlp", true, ""},
		{envExporter + "=none " + envEndpoint + "=" + at, false, ""},
		{envDisabled + "=TRUE " + envEndpoint + "=" + at, false, ""},
		{envDisabled + "=false " + envEndpoint + "=" + at, true, ""},
		{envProtocol + "=grpc", false, ""}, // for metrics of others, perhaps: traces were not asked for
		{envProtocol + "=grpc " + envExporter + "=otlp", false, `OTEL_EXPORTER_OTLP_PROTOCOL="grpc": use http/protobuf or http/json`},
		{envProtocol + "=grpc " + envProtocol2 + "=http/json " + envExporter + "=otlp", true, ""},
		{envProtocol2 + "=grpc " + envExporter + "=otlp", false, `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc"`},
		{envExporter + "=zipkin", false, `OTEL_TRACES_EXPORTER="zipkin": use otlp or none`},
		{envEndpoint + "=localhost:4318", false, `OTEL_EXPORTER_OTLP_ENDPOINT="localhost:4318": use a URL`},
		{envEndpoint + "=ftp://joe:canary@host", false, `OTEL_EXPORTER_OTLP_ENDPOINT="ftp://joe:xxxxx@host"`},
		{envSampler + "=some " + envExporter + "=otlp", false, `OTEL_TRACES_SAMPLER="some": use always_on`},
		{envSampler + "=parentbased_traceidratio " + envRatio + "=0.1 " + envExporter + "=otlp", true, ""},
		{envSampler + "=traceidratio " + envRatio + "=10 " + envExporter + "=otlp", false, `OTEL_TRACES_SAMPLER_ARG="10": use a ratio`},
	} {
		t.Run(test.env, func(t *testing.T) {
			unset(t)
			for pair := range strings.FieldsSeq(test.env) {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			on, err := isOn()
			if on != test.on || (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("on %t, %v; want %t, %q", on, err, test.on, test.want)
			}
		})
	}
}

// reports collects what a tracer says of itself.
type reports struct {
	mu     sync.Mutex
	failed []error // guarded by mu
	warned []error // guarded by mu
	nils   int     // guarded by mu
}

func (r *reports) options() Options {
	return Options{
		Service: "chunkline-mapper", Version: "v1", Host: "pod", Job: "demo",
		Report: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if err == nil {
				r.nils++
			} else {
				r.failed = append(r.failed, err)
			}
		},
		Warn: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.warned = append(r.warned, err)
		},
	}
}

// stopsWithin changes, for a test, how long stop waits for the collector.
func stopsWithin(t *testing.T, d time.Duration) {
	t.Helper()
	usual := stopTimeout
	t.Cleanup(func() { stopTimeout = usual })
	stopTimeout = d
}

// TestDelivers: what is left is delivered on stop, by OTLP, with who it is from.
func TestDelivers(t *testing.T) {
	unset(t)
	stopsWithin(t, 2*time.Minute)
	var got collector.ExportTraceServiceRequest
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		text, err := io.ReadAll(body)
		if err == nil {
			err = proto.Unmarshal(text, &got)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("X-Key") != "k" {
			t.Errorf("%s, key %q: %v", r.URL.Path, r.Header.Get("X-Key"), err)
		}
	}))
	defer server.Close()
	t.Setenv(envEndpoint, server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=k")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=other,zone=z")
	var r reports
	tracer, stop, err := New(r.options())
	if err != nil {
		t.Fatal(err)
	}
	chunk(tracer, errors.New("no"))
	stop()
	if len(r.failed)+len(r.warned) > 0 || r.nils != 1 || len(got.ResourceSpans) != 1 {
		t.Fatalf("reports %+v, got %v", &r, &got)
	}
	attributes := map[string]string{}
	for _, a := range got.ResourceSpans[0].Resource.Attributes {
		attributes[a.Key] = a.Value.GetStringValue()
	}
	for key, want := range map[string]string{
		"service.name": "chunkline-mapper", "service.version": "v1", "host.name": "other", "zone": "z", "chunkline.job": "demo",
	} {
		if attributes[key] != want {
			t.Errorf("%s is %q, want %q", key, attributes[key], want)
		}
	}
	var names []string
	for _, s := range got.ResourceSpans[0].ScopeSpans[0].Spans {
		names = append(names, s.Name)
	}
	if want := []string{Fetch, Wait, Map, Save, Commit}; !slices.Equal(names, want) {
		t.Errorf("delivered %q, want %q", names, want)
	}
}

// TestNever: a collector that is not there, or never answers, slows no role
// down: far more spans than the queue holds are made at once, and stop gives up.
func TestNever(t *testing.T) {
	forever := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-forever:
		}
	}))
	defer hanging.Close()
	defer close(forever)
	for name, url := range map[string]string{"missing": "http://127.0.0.1:9", "hanging": hanging.URL} {
		t.Run(name, func(t *testing.T) {
			unset(t)
			stopsWithin(t, 100*time.Millisecond)
			t.Setenv(envEndpoint, url)
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000") // stop is not to wait for it
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "3600000")
			var r reports
			tracer, stop, err := New(r.options())
			if err != nil {
				t.Fatal(err)
			}
			for range 1000 {
				chunk(tracer, nil)
			}
			stop()
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.failed) == 0 || len(r.warned) > 0 {
				t.Errorf("%d deliveries failed, complaints %v", len(r.failed), r.warned)
			}
		})
	}
}

// TestComplaints: the SDK prints nothing by itself.
func TestComplaints(t *testing.T) {
	unset(t)
	t.Setenv(envExporter, "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
	var r reports
	_, stop, err := New(r.options())
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if len(r.warned) == 0 || !strings.Contains(r.warned[0].Error(), "soon") && !strings.Contains(r.warned[0].Error(), "TIMEOUT") {
		t.Errorf("complaints %v, want the timeout that is no number", r.warned)
	}
}
