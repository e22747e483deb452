package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
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

// A Server answers for a role over HTTP.
type Server struct {
	role     Role
	listener net.Listener
	mux      *http.ServeMux
	registry *prometheus.Registry
}

// Listen opens addr for role. Extra handlers are added with Handle before Run.
func Listen(addr string, role Role) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, Usage("HTTP_ADDR=%q: %w; choose another host:port, or leave it empty", addr, err)
	}
	s := &Server{role: role, listener: listener, mux: http.NewServeMux(), registry: prometheus.NewRegistry()}
	s.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(),
	)
	if c, ok := role.(prometheus.Collector); ok {
		s.registry.MustRegister(c)
	}
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	s.mux.HandleFunc("GET /healthz", check(role.Alive))
	s.mux.HandleFunc("GET /readyz", check(role.Ready))
	s.mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, http.StatusOK, map[string]string{"version": Version(), "go": runtime.Version()})
	})
	return s, nil
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
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Run serves until ctx ends; requests in work get a second to finish.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	server := &http.Server{
		Handler: s.mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }, // so that endless answers end
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

// RunRole runs role, and beside it the HTTP server when addr is not empty. It
// returns when role does.
func RunRole(ctx context.Context, addr string, role Role, extra func(*Server)) error {
	if addr == "" {
		return role.Run(ctx)
	}
	server, err := Listen(addr, role)
	if err != nil {
		return err
	}
	if extra != nil {
		extra(server)
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // probes answer while the role drains
	defer stop()
	roleCtx, stopRole := context.WithCancel(ctx)
	defer stopRole()
	group := new(errgroup.Group)
	group.Go(func() error { defer stop(); return role.Run(roleCtx) })
	group.Go(func() error { defer stopRole(); return server.Run(serving) })
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
