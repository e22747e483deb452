package trace

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// stopTimeout bounds how long a process that ends waits for the collector to receive the last spans. Tests have another
// one.
var stopTimeout = 2 * time.Second

// Options identify the process in its traces and receive errors.
type Options struct {
	Service string // the default of OTEL_SERVICE_NAME
	Version string
	Host    string
	Job     string

	// Report is called with the result of each attempt to deliver spans; nil means success.
	Report func(error)

	// Warn is called with all other errors and warnings of the SDK.
	Warn func(error)
}

// New sets up tracing according to the OTEL_* variables. If they do not ask for traces, the Tracer is nil. stop
// delivers the remaining spans, within two seconds. An error names the variable, its value, and the values that it may
// have.
func New(o Options) (t *Tracer, stop func(), err error) {
	if on, err := isOn(); err != nil || !on {
		return nil, func() {}, err
	}
	unsetEmpty()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(o.Warn))
	otel.SetLogger(logTo(o.Warn))
	var options []otlptracehttp.Option
	if get(envEndpoint) == "" && get(envEndpoint2) == "" { // the default of OTLP is http://localhost:4318, that of the library is https
		options = append(options, otlptracehttp.WithInsecure())
	}
	exporter, err := otlptracehttp.New(context.Background(), options...)
	if err != nil {
		return nil, nil, fmt.Errorf("set up traces: %w", err)
	}
	// Attributes from the environment come last and so take precedence.
	who, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", o.Service), attribute.String("service.version", o.Version),
		attribute.String("host.name", o.Host), attribute.String(prefix+"job", o.Job),
	), resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES=%q: %w", os.Getenv("OTEL_RESOURCE_ATTRIBUTES"), err)
	}
	provider := sdk.NewTracerProvider(sdk.WithResource(who), sdk.WithBatcher(reporting{exporter, o.Report}))
	return tracerOf(provider), func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			o.Report(err)
		}
	}, nil
}

// To returns a tracer that sends spans to exporter as soon as they end, for tests.
func To(exporter sdk.SpanExporter) *Tracer {
	return tracerOf(sdk.NewTracerProvider(sdk.WithSyncer(exporter), sdk.WithSampler(sdk.AlwaysSample())))
}

func tracerOf(p *sdk.TracerProvider) *Tracer { return &Tracer{p.Tracer("chunkline")} }

// reporting reports the result of each delivery and hides the error from the SDK, which would print it each time.
type reporting struct {
	sdk.SpanExporter
	report func(error)
}

func (r reporting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	r.report(r.SpanExporter.ExportSpans(ctx, spans))
	return nil
}

const (
	envDisabled  = "OTEL_SDK_DISABLED"
	envExporter  = "OTEL_TRACES_EXPORTER"
	envSampler   = "OTEL_TRACES_SAMPLER"
	envRatio     = "OTEL_TRACES_SAMPLER_ARG"
	envEndpoint  = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envEndpoint2 = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol  = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envProtocol2 = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// isOn reports whether the environment asks for traces. The SDK replaces values that it does not understand; here they
// are errors.
func isOn() (bool, error) {
	if strings.EqualFold(get(envDisabled), "true") {
		return false, nil
	}
	switch exporter := get(envExporter); exporter {
	case "none":
		return false, nil
	case "otlp":
	case "":
		if get(envEndpoint) == "" && get(envEndpoint2) == "" {
			return false, nil
		}
	default:
		return false, wrong(envExporter, "otlp or none")
	}
	for _, name := range []string{envEndpoint, envEndpoint2} {
		u, err := url.Parse(get(name))
		if value := get(name); value != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return false, wrong(name, "a URL such as http://collector:4318")
		}
	}
	protocol := envProtocol2
	if get(protocol) == "" {
		protocol = envProtocol
	}
	if !slices.Contains([]string{"", "http/protobuf", "http/json"}, get(protocol)) {
		return false, wrong(protocol, "http/protobuf or http/json, usually at port 4318; this program has no other")
	}
	err := checkSampler()
	return err == nil, err
}

func checkSampler() error {
	switch strings.ToLower(get(envSampler)) {
	case "", "always_on", "always_off", "parentbased_always_on", "parentbased_always_off":
	case "traceidratio", "parentbased_traceidratio":
		if ratio, err := strconv.ParseFloat(get(envRatio), 64); get(envRatio) != "" && (err != nil || !(ratio >= 0 && ratio <= 1)) {
			return wrong(envRatio, "a ratio from 0 to 1")
		}
	default:
		return wrong(envSampler, "always_on, always_off, traceidratio, or one of them after parentbased_")
	}
	return nil
}

// unsetEmpty unsets empty variables. OpenTelemetry treats them as unset, and compose files produce them, but the SDK
// complains about some.
func unsetEmpty() {
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OTEL_") && strings.TrimSpace(value) == "" {
			_ = os.Unsetenv(name) // the name exists, so it can be unset
		}
	}
}

func get(name string) string { return strings.TrimSpace(os.Getenv(name)) }

func wrong(name, right string) error {
	value := os.Getenv(name)
	if u, err := url.Parse(value); err == nil && u.User != nil {
		value = u.Redacted()
	}
	return fmt.Errorf("%s=%q: use %s", name, value, right)
}

// logTo sends the SDK's log lines to warn.
func logTo(warn func(error)) logr.Logger { return logr.New(sink{warn}) }

type sink struct{ warn func(error) }

func (s sink) Init(logr.RuntimeInfo)             {}
func (s sink) Enabled(level int) bool            { return level <= 1 } // the SDK's warnings
func (s sink) WithValues(...any) logr.LogSink    { return s }
func (s sink) WithName(string) logr.LogSink      { return s }
func (s sink) Info(_ int, msg string, kv ...any) { s.warn(errors.New(msg + detail(kv))) }

func (s sink) Error(err error, msg string, kv ...any) {
	s.warn(fmt.Errorf("%s%s: %w", msg, detail(kv), err))
}

func detail(kv []any) string {
	if len(kv) == 0 {
		return ""
	}
	return fmt.Sprint(" ", kv)
}
