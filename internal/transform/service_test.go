package transform

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeService is an HTTP server on connections in memory, for simulated time.
type fakeService struct {
	conns  chan net.Conn
	closed chan struct{}

	mu     sync.Mutex
	asked  []string // guarded by mu; bodies of requests, in order
	dialed int      // guarded by mu; connections that were made
}

// serve runs a service until the test ends. handle gets the body of each request.
func serve(tb testing.TB, handle func(w http.ResponseWriter, r *http.Request, body string)) *fakeService {
	tb.Helper()
	f := &fakeService{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{
		ReadHeaderTimeout: time.Hour,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // the client is gone
			}
			f.mu.Lock()
			f.asked = append(f.asked, string(body))
			f.mu.Unlock()
			handle(w, r, string(body))
		}),
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(f) }()
	tb.Cleanup(func() { _ = server.Close(); <-ended })
	return f
}

// Accept, Close and Addr make it a net.Listener.
func (f *fakeService) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}
func (f *fakeService) Close() error   { close(f.closed); return nil }
func (f *fakeService) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (f *fakeService) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case f.conns <- theirs:
		f.mu.Lock()
		f.dialed++
		f.mu.Unlock()
		return ours, nil
	case <-f.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeService) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// transform returns a transform that calls the service, with options.
func (f *fakeService) transform(tb testing.TB, options string, change ...func(*Spec)) *service {
	tb.Helper()
	spec, err := Parse("http://service/map?q=1" + options)
	if err != nil {
		tb.Fatal(err)
	}
	spec.Dial = f.dial
	for _, c := range change {
		c(&spec)
	}
	tr, err := spec.New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := tr.Close(); err != nil {
			tb.Error(err)
		}
	})
	return tr.(*service)
}

// whole makes every wait as long as it may be.
func whole(most time.Duration) time.Duration { return most }

// raw answers with bytes of its own, and closes the connection.
func raw(tb testing.TB, w http.ResponseWriter, text string) {
	tb.Helper()
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		tb.Error(err)
		return
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}

// echo answers with the body of the request.
func echo(w http.ResponseWriter, _ *http.Request, body string) { _, _ = io.WriteString(w, body) }

// elements returns the elements of a JSON array of numbers.
func elements(array string) []string { return strings.Split(strings.Trim(array, "[]"), ",") }
