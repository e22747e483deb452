package app

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestServe: while a role opens what may take for ever, it answers that it is
// alive and why it is not ready; then it answers as the role does.
func TestServe(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	addr, opened, running, done := make(chan string, 1), make(chan struct{}), make(chan struct{}), make(chan error, 1)
	r := newRole(func(ctx context.Context) error { close(running); <-ctx.Done(); return nil })
	go func() {
		done <- Serve(ctx, HTTP{Addr: "127.0.0.1:0"}, func(ctx context.Context, s *Startup) error {
			s.Doing("opening the sink")
			addr <- s.server.Addr()
			<-opened
			return s.Run(ctx, r, func(s *Server) {
				s.Handle("GET /extra", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("extra")) }))
			})
		})
	}()
	at := <-addr
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/metrics": http.StatusOK, "/extra": http.StatusNotFound} {
		code, text := get(t, at, path)
		if code != want || path == "/readyz" && text != "starting: opening the sink\n" {
			t.Errorf("%s while it opens: %d %.100q, want %d", path, code, text, want)
		}
	}
	close(opened)
	<-running
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": "role_runs_total", "/extra": "extra"} {
		if code, text := get(t, at, path); code != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s while it runs: %d %.100q, want %q", path, code, text, want)
		}
	}
	r.unready.Store(true)
	if code, text := get(t, at, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "nats is away") {
		t.Errorf("/readyz is not the role's: %d %q", code, text)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestServe_stopped: a role that is stopped while it opens something ends
// soon, whether that comes to an end or not.
func TestServe_stopped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		takes time.Duration
		want  string
	}{"hangs": {time.Hour, "stopped while opening the sink"}, "ends": {stopGrace / 2, ""}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				time.AfterFunc(time.Minute, stop)
				begin := time.Now()
				err := Serve(ctx, HTTP{}, func(ctx context.Context, s *Startup) error {
					s.Doing("opening the sink")
					<-ctx.Done()
					<-time.After(c.takes)
					return s.Run(ctx, newRole(func(context.Context) error { return nil }), nil)
				})
				switch {
				case c.want == "" && err != nil, c.want != "" && (err == nil || err.Error() != c.want || Code(err) != ExitInterrupted):
					t.Errorf("ended with %v, want %q", err, c.want)
				}
				if took := time.Since(begin); took > time.Minute+stopGrace {
					t.Errorf("the stop took %s", took)
				}
				<-time.After(2 * time.Hour) // what hung ends, too
			})
		})
	}
}
