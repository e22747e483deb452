package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// pipes is a listener whose connections are pipes: data that is not read is not written.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 3541} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// serveLimited serves a role with the limits over pipes, in a bubble.
func serveLimited(t *testing.T, l limits, test func(t *testing.T, p *pipes)) (log string) {
	t.Helper()
	var text bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		r := newRole(func(ctx context.Context) error { <-ctx.Done(); return nil })
		s := newServer(HTTP{Addr: ":3541", Log: zerolog.New(zerolog.SyncWriter(&text))}, p, r, l)
		s.Handle("POST /order", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				WriteJSON(w, http.StatusBadRequest, "unfinished")
			}
		}))
		s.Handle("GET /big", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }))
		s.Handle("GET /panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		test(t, p)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return text.String()
}

var tight = limits{connections: 4, answers: 2, read: 10 * time.Second, write: 20 * time.Second, header: 4 << 10}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Error(err)
	}
	synctest.Wait()
}

// status asks for a path on a connection of its own.
func (p *pipes) status(t *testing.T, path string) int {
	t.Helper()
	conn := p.dial()
	defer conn.Close()
	send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// TestUnfinishedBody: who never ends a request is cut off.
func TestUnfinishedBody(t *testing.T) {
	t.Parallel()
	serveLimited(t, tight, func(t *testing.T, p *pipes) {
		conn, begin := p.dial(), time.Now()
		send(t, conn, "POST /order HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
		_, _ = io.Copy(io.Discard, conn) // until the server closes it
		if took := time.Since(begin); took < tight.read || took > 2*tight.read {
			t.Errorf("cut off after %s, want %s", took, tight.read)
		}
	})
}

// TestUnread: who reads no answer is cut off, keeps no probe out, and so many at once
// are answered as there is memory for.
func TestUnread(t *testing.T) {
	t.Parallel()
	serveLimited(t, tight, func(t *testing.T, p *pipes) {
		var slow []net.Conn
		for range tight.answers {
			conn := p.dial()
			send(t, conn, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
			slow = append(slow, conn)
		}
		if code := p.status(t, "/big"); code != http.StatusServiceUnavailable {
			t.Errorf("answer above the limit: %d, want %d", code, http.StatusServiceUnavailable)
		}
		if code := p.status(t, "/healthz"); code != http.StatusOK {
			t.Errorf("probe: %d", code)
		}
		<-time.After(tight.write + time.Second)
		synctest.Wait()
		if code := p.status(t, "/metrics"); code != http.StatusOK {
			t.Errorf("after the deadline: %d, want an answer", code)
		}
		for _, conn := range slow {
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("a client that does not read is not cut off: %v", err)
			}
		}
	})
}

// TestCrowded: the oldest connection gives way to a new one, so that a probe gets through.
func TestCrowded(t *testing.T) {
	t.Parallel()
	serveLimited(t, tight, func(t *testing.T, p *pipes) {
		idle := make([]net.Conn, tight.connections)
		for i := range idle {
			idle[i] = p.dial()
			synctest.Wait()
		}
		if code := p.status(t, "/healthz"); code != http.StatusOK {
			t.Errorf("probe: %d", code)
		}
		if _, err := idle[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the oldest connection: %v, want it closed", err)
		}
		send(t, idle[1], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		if line, err := bufio.NewReader(idle[1]).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
			t.Errorf("the second oldest: %q, %v, want an answer", line, err)
		}
		for _, conn := range idle {
			_ = conn.Close()
		}
	})
}

// TestServerLog: what net/http complains of is JSON, and a flood of it is bounded.
func TestServerLog(t *testing.T) {
	t.Parallel()
	log := serveLimited(t, tight, func(t *testing.T, p *pipes) {
		for range 50 {
			conn := p.dial()
			send(t, conn, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if len(lines) < 1 || len(lines) > 10 {
		t.Errorf("%d lines for 50 panics, want 1 to 10", len(lines))
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, `{"level":"warn","error":"http: panic serving`) {
			t.Errorf("line %.80s", line)
		}
	}
}

// TestConnectionsOf: most of the descriptors are the role's.
func TestConnectionsOf(t *testing.T) {
	t.Parallel()
	for descriptors, want := range map[uint64]int{0: 8, 20: 8, 64: 16, 1024: 256, 1 << 20: 256} {
		if got := connectionsOf(descriptors); got != want {
			t.Errorf("%d connections of %d descriptors, want %d", got, descriptors, want)
		}
	}
}
