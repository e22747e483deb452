package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log" //nolint:depguard // http.Server takes no other logger
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

// A Role is a part of chunkline that runs until its context ends or its work
// is done. Alive and Ready must answer at once, whatever the role is busy with.
type Role interface {
	Run(ctx context.Context) error
	Alive() error // nil: its loop turns
	Ready() error // nil: connected, and able to do its work
}

// HTTP is where a role answers over HTTP, and what its server says of itself.
type HTTP struct {
	Addr  string // empty: nowhere
	Hosts string // names that a request may be for, with commas between them; empty: see HTTP_HOSTS
	Log   zerolog.Logger
}

// HTTP is where the settings let a role answer.
func (c Common) HTTP(log zerolog.Logger) HTTP {
	return HTTP{Addr: c.HTTPAddr, Hosts: c.HTTPHosts, Log: log}
}

// A Server answers for a role over HTTP.
type Server struct {
	hosts    hosts
	limits   limits
	slots    chan struct{} // requests in work
	log      zerolog.Logger
	role     atomic.Pointer[Role]
	listener net.Listener
	mux      *http.ServeMux
	registry *prometheus.Registry
}

// Listen opens an address for role. Extra handlers are added with Handle before Run.
func Listen(at HTTP, role Role) (*Server, error) {
	if _, _, err := net.SplitHostPort(at.Addr); err != nil {
		return nil, WrongSetting("HTTP_ADDR", "=%q: use host:port, as in 127.0.0.1:3541, or leave it empty", at.Addr)
	}
	listener, err := net.Listen("tcp", at.Addr)
	if err != nil {
		return nil, WrongSetting("HTTP_ADDR", "=%q: %w; choose another host:port, or leave it empty", at.Addr, err)
	}
	return newServer(at, listener, role, usualLimits()), nil
}

func newServer(at HTTP, listener net.Listener, role Role, l limits) *Server {
	s := &Server{
		listener: &crowded{Listener: listener, most: l.connections}, mux: http.NewServeMux(), registry: prometheus.NewRegistry(),
		hosts: hostsOf(at.Addr, at.Hosts), limits: l, slots: make(chan struct{}, l.answers), log: Sampled(at.Log),
	}
	s.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(),
	)
	s.take(role)
	s.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	s.mux.HandleFunc("GET /healthz", check(func() error { return (*s.role.Load()).Alive() }))
	s.mux.HandleFunc("GET /readyz", check(func() error { return (*s.role.Load()).Ready() }))
	s.mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, http.StatusOK, map[string]string{"version": Version(), "go": runtime.Version()})
	})
	return s
}

// take answers for role from now on.
func (s *Server) take(role Role) {
	if c, ok := role.(prometheus.Collector); ok {
		s.registry.MustRegister(c)
	}
	s.role.Store(&role)
}

func buildInfo() *metrics.Set {
	s := new(metrics.Set)
	build := s.Gauge("chunkline_build_info", "Always 1; the labels say which build of chunkline this is, and which Go made it.",
		metrics.Version, metrics.Label{Name: "go"})
	s.Gather(func(emit metrics.Emit) { emit(build, 1, Version(), runtime.Version()) })
	return s
}

// Metrics describes the metrics that every role has from here, for docs/metrics.md.
func Metrics() []metrics.Doc { return buildInfo().Docs() }

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Handle adds a handler for an http.ServeMux pattern.
func (s *Server) Handle(pattern string, h http.Handler) {
	if _, endless := h.(Stream); !endless {
		h = bounded(s.slots, h)
	}
	s.mux.Handle(pattern, h)
}

// logWriter writes what net/http has to say as lines of our log. Clients can cause as
// many as they like, so the log is a sampled one.
type logWriter struct{ log zerolog.Logger }

func (w logWriter) Write(text []byte) (int, error) {
	w.log.Warn().Str("error", strings.TrimSpace(string(text))).Msg("http server")
	return len(text), nil
}

// servingKey finds, in the context of a request, the one with which the server ends.
type servingKey struct{}

// Ending says whether the server of a request whose context has ended is ending
// itself, and not only the request: there is time for last words.
func Ending(r *http.Request) bool {
	serving, ok := r.Context().Value(servingKey{}).(context.Context)
	return ok && serving.Err() != nil
}

// Run serves until ctx ends; requests in work get a second to finish.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	server := &http.Server{
		Handler: s.hosts.only(s.mux), ReadHeaderTimeout: min(5*time.Second, s.limits.read), ReadTimeout: s.limits.read, WriteTimeout: s.limits.write,
		IdleTimeout: time.Minute, MaxHeaderBytes: s.limits.header, ErrorLog: log.New(logWriter{s.log}, "", 0),
		BaseContext: func(net.Listener) context.Context { return context.WithValue(ctx, servingKey{}, ctx) }, // so that endless answers end
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

// WriteJSON answers with v; the client going away is not our error.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
