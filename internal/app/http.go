package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log" //nolint:depguard // http.Server needs this logger
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/metrics"
)

// A Role is a part of chunkline that runs until its context ends or its work is done.
type Role interface {
	Probe
	Run(ctx context.Context) error
}

// A Probe answers health checks. Its methods must return at once, whatever the role is doing.
type Probe interface {
	Alive() error // nil while the role's loop runs
	Ready() error // nil while the role is connected and can work
}

// HTTP is the address of a role's HTTP server and the server's logger.
type HTTP struct {
	Addr  string // empty: no server
	Hosts string // allowed host names of requests, separated by commas; empty: see HTTP_HOSTS
	Log   zerolog.Logger
}

// HTTP returns the address of the HTTP server from the settings.
func (c Common) HTTP(log zerolog.Logger) HTTP {
	return HTTP{Addr: c.HTTPAddr, Hosts: c.HTTPHosts, Log: log}
}

// A Server is the HTTP server of a role.
type Server struct {
	hosts    hosts
	limits   limits
	slots    chan struct{} // one for each request being handled
	log      zerolog.Logger
	probe    atomic.Pointer[Probe]
	listener net.Listener
	mux      *http.ServeMux
	registry *prometheus.Registry
}

// Listen opens an address for the health checks and the metrics of a role. Add further handlers with Handle before Run.
func Listen(at HTTP, role Probe) (*Server, error) {
	if _, _, err := net.SplitHostPort(at.Addr); err != nil {
		return nil, WrongSetting("HTTP_ADDR", "=%q: use host:port, as in 127.0.0.1:3541, or leave it empty", at.Addr)
	}
	listener, err := net.Listen("tcp", at.Addr)
	if err != nil {
		return nil, WrongSetting("HTTP_ADDR", "=%q: %w; choose another host:port, or leave it empty", at.Addr, err)
	}
	return newServer(at, listener, role, defaultLimits()), nil
}

func newServer(at HTTP, listener net.Listener, role Probe, l limits) *Server {
	s := &Server{
		listener: &boundedListener{Listener: listener, most: l.connections}, mux: http.NewServeMux(), registry: prometheus.NewRegistry(),
		hosts: hostsOf(at.Addr, at.Hosts), limits: l, slots: make(chan struct{}, l.answers), log: Sampled(at.Log),
	}
	s.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(),
	)
	s.setProbe(role)
	s.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	s.mux.HandleFunc("GET /healthz", check(func() error { return (*s.probe.Load()).Alive() }))
	s.mux.HandleFunc("GET /readyz", check(func() error { return (*s.probe.Load()).Ready() }))
	s.mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, http.StatusOK, map[string]string{"version": Version(), "go": runtime.Version()})
	})
	return s
}

// setProbe makes the server answer with the health and the metrics of a role from now on.
func (s *Server) setProbe(role Probe) {
	if c, ok := role.(prometheus.Collector); ok {
		s.registry.MustRegister(c)
	}
	s.probe.Store(&role)
}

func buildInfo() *metrics.Set {
	s := new(metrics.Set)
	build := s.Gauge("chunkline_build_info", "Always 1; the labels have the version of chunkline and that of Go.",
		metrics.Version, metrics.Label{Name: "go"})
	s.Gather(func(emit metrics.Emit) { emit(build, 1, Version(), runtime.Version()) })
	return s
}

// Metrics describes the metrics that this package gives every role, for docs/metrics.md.
func Metrics() []metrics.Doc { return buildInfo().Docs() }

// Addr returns the address on which the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Handle adds a handler for an http.ServeMux pattern.
func (s *Server) Handle(pattern string, h http.Handler) {
	if _, endless := h.(Stream); !endless {
		h = bounded(s.slots, h)
	}
	s.mux.Handle(pattern, h)
}

// logWriter logs the messages of net/http. Clients can cause any number of them, so its logger is sampled.
type logWriter struct{ log zerolog.Logger }

func (w logWriter) Write(text []byte) (int, error) {
	w.log.Warn().Str("error", strings.TrimSpace(string(text))).Msg("http server")
	return len(text), nil
}

// servingKey is the key, in the context of a request, of the context that ends with the server.
type servingKey struct{}

// Ending reports whether a request's context has ended because the server is stopping, so that the handler still has
// time for a last message.
func Ending(r *http.Request) bool {
	serving, ok := r.Context().Value(servingKey{}).(context.Context)
	return ok && serving.Err() != nil
}

// Run serves until ctx ends. Requests being handled then get a second to finish.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	server := &http.Server{
		Handler: s.hosts.only(s.mux), ReadHeaderTimeout: min(5*time.Second, s.limits.read), ReadTimeout: s.limits.read, WriteTimeout: s.limits.write,
		IdleTimeout: time.Minute, MaxHeaderBytes: s.limits.header, ErrorLog: log.New(logWriter{s.log}, "", 0),
		BaseContext: func(net.Listener) context.Context { return context.WithValue(ctx, servingKey{}, ctx) }, // so that streams end with the server
	}
	group.Go(func() error {
		if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve http: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			return server.Close()
		}
		return nil
	})
	return group.Wait()
}

func check(probe func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := probe(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// WriteJSON answers with v. It ignores errors, which mean that the client has gone.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// maxSilence is how long a role's loop may hang before /healthz fails. Loops run at least once a second. 30 s is far
// more than a slow disk sync or a long garbage collection takes, and short enough for a liveness probe.
const maxSilence = 30 * time.Second

// A Pulse shows that a loop is running. The loop calls Beat, and a probe calls Check.
type Pulse struct{ last atomic.Pointer[time.Time] }

// Beat records that the loop ran now.
func (p *Pulse) Beat() {
	now := time.Now()
	p.last.Store(&now)
}

// Check returns an error if the loop has hung for too long. A loop that has not begun is healthy.
func (p *Pulse) Check() error {
	last := p.last.Load()
	if last == nil {
		return nil
	}
	if silence := time.Since(*last); silence > maxSilence {
		return fmt.Errorf("loop has stood still for %s", silence.Round(time.Second))
	}
	return nil
}
