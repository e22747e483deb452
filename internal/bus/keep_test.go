package bus_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
)

// A heckler is a proxy between clients and a server that can send text to the clients as
// if it came from the server.
type heckler struct {
	listener net.Listener
	to       string
	all      sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn // guarded by mu; of clients
}

func newHeckler(t *testing.T, to string) *heckler {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &heckler{listener: l, to: strings.TrimPrefix(to, "nats://")}
	h.all.Go(h.accept)
	t.Cleanup(func() { _ = l.Close(); h.say(""); h.all.Wait() })
	return h
}

func (h *heckler) accept() {
	for {
		client, err := h.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", h.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		h.mu.Lock()
		h.conns = append(h.conns, client)
		h.mu.Unlock()
		pass := func(to, from net.Conn) { _, _ = io.Copy(to, from); _, _ = to.Close(), from.Close() }
		h.all.Go(func() { pass(client, far) })
		h.all.Go(func() { pass(far, client) })
	}
}

// say writes text to all clients and closes their connections.
func (h *heckler) say(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		_, _ = io.WriteString(c, text)
		_ = c.Close()
	}
	h.conns = nil
}

// serveEcho answers each request for VerbSave with its own body.
func serveEcho(t *testing.T, b *bus.Bus) {
	t.Helper()
	stop, err := b.Serve(bus.Service{Name: "saver", Version: "dev", Endpoints: []bus.Endpoint{
		{Verb: wire.VerbSave, Queue: "saver", Handle: func(r *bus.Request) { _ = r.Reply(wire.Message{Body: r.Body}) }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop(context.Background()) })
}

// untilAnswered asks again until it is answered.
func untilAnswered(t *testing.T, b *bus.Bus, body string) {
	t.Helper()
	ctx := patience(t)
	for {
		if err := b.WaitOnline(ctx); err != nil {
			t.Fatal(err)
		}
		try, cancel := context.WithTimeout(ctx, 3*time.Second)
		answer, err := b.Request(try, wire.VerbSave, wire.Message{Body: []byte(body)})
		cancel()
		if err == nil {
			if string(answer.Body) != body {
				t.Fatalf("answer of %d bytes, want %d", len(answer.Body), len(body))
			}
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestConnect_serverErrors: after any error with which a server closes the connection,
// roles reconnect and their services work again.
func TestConnect_serverErrors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Server Shutdown", "Connection throttling is active. Please try again later.", "Slow Consumer", "Maximum Control Line Exceeded", "Parser Error",
		"Secure Connection - TLS Required", "Maximum Payload Violation", "Stale Connection", "maximum connections exceeded",
		"Unknown Protocol Operation", "Cluster Name Conflict", "something new",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			h := newHeckler(t, n.url)
			var log logBuffer
			options := n.options(bus.RoleSaver)
			options.Log = zerolog.New(&log)
			b, err := bus.Connect(bus.Config{URL: "nats://" + h.listener.Addr().String()}, options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(b.Close)
			serveEcho(t, b)
			client := n.connect(bus.RoleMapper)
			untilAnswered(t, client, "before")
			for b.Stats().Reconnects == 0 {
				h.say("-ERR '" + text + "'\r\n")
				untilAnswered(t, client, "after")
				untilAnswered(t, b, "its own")
			}
			if b.Err() != nil {
				t.Error(b.Err())
			}
			if n := strings.Count(log.String(), "connected to NATS again"); n != 1 {
				t.Errorf("%d log lines say that NATS is connected again, want 1: %s", n, log.String())
			}
		})
	}
}

// TestConnect_lowerMaxPayload: a server may lower its max_payload at any moment.
func TestConnect_lowerMaxPayload(t *testing.T) {
	t.Parallel()
	options := func(most int32) *server.Options {
		return patientServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: most})
	}
	s := startServer(t, options(1<<20))
	connect := func(role bus.Role) *bus.Bus {
		b, err := bus.Connect(bus.Config{URL: s.ClientURL()}, bus.Patient(bus.Options{Job: "job", Role: role, Log: zerolog.Nop()}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	saver, mapper := connect(bus.RoleSaver), connect(bus.RoleMapper)
	serveEcho(t, saver)
	large := strings.Repeat("x", 300<<10)
	untilAnswered(t, mapper, large)
	lower := options(64 << 10)
	lower.Port = s.Addr().(*net.TCPAddr).Port
	if err := s.ReloadOptions(lower); err != nil {
		t.Fatal(err)
	}
	untilAnswered(t, mapper, large)
	if mapper.Err() != nil || saver.Err() != nil {
		t.Errorf("mapper: %v, saver: %v", mapper.Err(), saver.Err())
	}
}

// patientServer makes a server wait long for clients, so that it gives up none that stands still.
func patientServer(o *server.Options) *server.Options {
	o.AuthTimeout, o.TLSTimeout = long.Seconds(), long.Seconds()
	o.PingInterval, o.WriteDeadline = long, long
	return o
}

func startServer(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(patientServer(o))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(long) {
		t.Fatal("server does not start")
	}
	return s
}
