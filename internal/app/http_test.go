package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/test/loopback"
)

// role is a role that does what its functions say. It is a collector, too.
type role struct {
	run      func(context.Context) error
	unready  atomic.Bool
	unalive  atomic.Bool
	counters prometheus.Counter
}

func newRole(run func(context.Context) error) *role {
	return &role{run: run, counters: prometheus.NewCounter(prometheus.CounterOpts{Name: "role_runs_total", Help: "Runs."})}
}

func (r *role) Run(ctx context.Context) error       { return r.run(ctx) }
func (r *role) Describe(ch chan<- *prometheus.Desc) { r.counters.Describe(ch) }
func (r *role) Collect(ch chan<- prometheus.Metric) { r.counters.Collect(ch) }
func (r *role) Alive() error                        { return errorIf(&r.unalive, "stands still") }
func (r *role) Ready() error                        { return errorIf(&r.unready, "nats is away") }
func errorIf(is *atomic.Bool, text string) (err error) {
	if is.Load() {
		err = errors.New(text)
	}
	return err
}

// get asks again if an answer breaks off: the server's deadlines may be over while the machine stands still.
func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for try := 1; ; try++ {
		response, err := client.Get("http://" + addr + path)
		if err == nil {
			var body []byte
			body, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err == nil {
				return response.StatusCode, string(body)
			}
		}
		if try == 10 {
			t.Fatal(err)
		}
	}
}

// start runs a role with an HTTP server, and gives its address and how it ends.
func start(ctx context.Context, r *role) (addr string, ended <-chan error) {
	addrs, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- RunRole(ctx, HTTP{Addr: loopback.Address()}, r, func(s *Server) { // a port that stays free
			s.Handle("GET /extra", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				WriteJSON(w, http.StatusTeapot, map[string]int{"n": 1})
			}))
			addrs <- s.Addr()
		})
	}()
	return <-addrs, done
}

func TestServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r := newRole(func(ctx context.Context) error { <-ctx.Done(); return nil })
	addr, ended := start(ctx, r)
	want := func(path string, code int, text string) {
		t.Helper()
		if gotCode, got := get(t, addr, path); gotCode != code || !strings.Contains(got, text) {
			t.Errorf("%s: %d %q, want %d with %q", path, gotCode, got, code, text)
		}
	}
	want("/healthz", 200, "ok")
	want("/readyz", 200, "ok")
	r.unready.Store(true)
	want("/healthz", 200, "ok")
	want("/readyz", 503, "nats is away")
	r.unalive.Store(true)
	want("/healthz", 503, "stands still")
	want("/metrics", 200, "role_runs_total 0")
	want("/metrics", 200, `chunkline_build_info{go=`)
	want("/metrics", 200, "go_goroutines")
	want("/extra", http.StatusTeapot, `{"n":1}`)
	want("/nowhere", 404, "")
	_, text := get(t, addr, "/version")
	var version map[string]string
	if err := json.Unmarshal([]byte(text), &version); err != nil || version["version"] != Version() || version["go"] == "" {
		t.Errorf("/version: %q", text)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// TestHealth: a health check without any other program says what the role says.
func TestHealth(t *testing.T) {
	defer func(usual time.Duration) { healthTimeout = usual }(healthTimeout)
	healthTimeout = 2 * time.Minute
	ctx, stop := context.WithCancel(t.Context())
	r := newRole(func(ctx context.Context) error { <-ctx.Done(); return nil })
	addr, ended := start(ctx, r)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{addr, ":" + port, "0.0.0.0:" + port} {
		if err := checkHealth(ctx, addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	r.unready.Store(true)
	if err := checkHealth(ctx, addr); err == nil || err.Error() != "not ready: nats is away" || Code(err) != ExitFailed {
		t.Errorf("not ready: error %v", err)
	}
	if err := checkHealth(ctx, ""); Code(err) != ExitUsage || !strings.Contains(err.Error(), `HTTP_ADDR=""`) {
		t.Errorf("no address: error %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := checkHealth(t.Context(), addr); Code(err) != ExitFailed {
		t.Errorf("the role has ended: error %v", err)
	}
}

// TestDrain: probes answer while the role drains, and the server ends with it.
func TestDrain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	draining, finish := make(chan struct{}), make(chan struct{})
	broken := errors.New("broken")
	addr, ended := start(ctx, newRole(func(ctx context.Context) error {
		<-ctx.Done()
		close(draining)
		<-finish
		return broken
	}))
	cancel()
	<-draining
	if code, text := get(t, addr, "/healthz"); code != 200 {
		t.Errorf("while draining: %d %s", code, text)
	}
	close(finish)
	if err := <-ended; !errors.Is(err, broken) {
		t.Errorf("ended with %v, want %v", err, broken)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("the server still listens")
	}
}

func TestRunRole(t *testing.T) {
	t.Parallel()
	if err := RunRole(t.Context(), HTTP{}, newRole(func(context.Context) error { return ErrDeadLetters }), nil); !errors.Is(err, ErrDeadLetters) {
		t.Errorf("without server: %v", err)
	}
	err := RunRole(t.Context(), HTTP{Addr: "nowhere"}, newRole(func(context.Context) error {
		t.Error("the role ran")
		return nil
	}), nil)
	if Code(err) != ExitUsage || !strings.Contains(err.Error(), `HTTP_ADDR="nowhere"`) {
		t.Errorf("wrong address: %v", err)
	}
}

// TestBrokenServer: a role whose server breaks is stopped, and the error is the
// server's.
func TestBrokenServer(t *testing.T) {
	t.Parallel()
	r := newRole(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	err := RunRole(t.Context(), HTTP{Addr: "127.0.0.1:0"}, r, func(s *Server) { _ = s.listener.Close() })
	if err == nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v, want %v", err, net.ErrClosed)
	}
}
