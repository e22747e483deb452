package bus_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/loopback"
)

// logBuffer is a log that a test reads.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// long is the timeout for events that must happen: a machine under load may hang for half
// a minute.
const long = 5 * time.Minute

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	t.Cleanup(cancel)
	return ctx
}

// TestConnect_serverComesLater: without a server at first there is one log line and no error.
func TestConnect_serverComesLater(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.away()
	var log logBuffer
	options := n.options(bus.RoleSaver)
	options.Log = zerolog.New(&log)
	b, err := bus.Connect(bus.Config{URL: strings.Replace(n.url, "//", "//user:"+canary+"@", 1)}, options)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Online() {
		t.Error("online without a server")
	}
	_, err = b.Request(patience(t), wire.VerbSync, wire.Message{})
	if !errors.Is(err, bus.ErrOffline) {
		t.Errorf("request: error %v, want %v", err, bus.ErrOffline)
	}
	served := make(chan string, 1)
	stop, err := b.Serve(bus.Service{Name: "saver", Version: "dev", Endpoints: []bus.Endpoint{
		{Verb: wire.VerbSave, Queue: "saver", Handle: func(r *bus.Request) { served <- string(r.Body) }},
	}})
	if err != nil {
		t.Fatalf("serve without a server: %v", err)
	}
	n.back()
	if err := b.WaitOnline(patience(t)); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(patience(t)); err != nil {
		t.Fatal(err)
	}
	client := n.connect(bus.RoleMapper)
	if err := client.Publish(wire.VerbSave, wire.Message{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if got := <-served; got != "x" {
		t.Errorf("served %q", got)
	}
	if err := stop(patience(t)); err != nil {
		t.Error(err)
	}
	text := log.String()
	if n := strings.Count(text, "no connection to NATS"); n != 1 {
		t.Errorf("%d log lines say that there is no connection to NATS, want 1:\n%s", n, text)
	}
	if n := strings.Count(text, "connected to NATS again after"); n != 1 {
		t.Errorf("%d log lines say that NATS is connected again, want 1:\n%s", n, text)
	}
	if strings.Contains(text, canary) {
		t.Errorf("the log shows a password:\n%s", text)
	}
}

// guarded starts a server that knows one user, with its permissions.
func guarded(t *testing.T, permissions *server.Permissions) (url string) {
	t.Helper()
	return startServer(t, &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		Users: []*server.User{{Username: "u", Password: canary, Permissions: permissions}},
	}).ClientURL()
}

func TestConnect_wrongPassword(t *testing.T) {
	t.Parallel()
	var log logBuffer
	cfg := bus.Config{URL: guarded(t, nil), User: "u", Password: canary + "x"}
	b, err := bus.Connect(cfg, bus.Patient(bus.Options{Job: "job", Role: bus.RoleMapper, Log: zerolog.New(&log)}))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	<-b.Closed()
	err = b.Err()
	if !errors.Is(err, bus.ErrDenied) || !errors.Is(err, bus.ErrClosed) || !strings.Contains(err.Error(), "NATS_PASSWORD") {
		t.Errorf("error %v, want %v that names the variables", err, bus.ErrDenied)
	}
	if _, e := b.Request(patience(t), wire.VerbNext, wire.Message{}); !errors.Is(e, bus.ErrDenied) {
		t.Errorf("request: error %v, want %v", e, bus.ErrDenied)
	}
	if e := b.WaitOnline(patience(t)); !errors.Is(e, bus.ErrDenied) {
		t.Errorf("wait: error %v, want %v", e, bus.ErrDenied)
	}
	if text := log.String() + err.Error(); strings.Contains(text, canary) {
		t.Errorf("a secret is shown: %s", text)
	}
}

func TestConnect_denied(t *testing.T) {
	t.Parallel()
	allow := func(publish, subscribe []string) *server.Permissions {
		return &server.Permissions{
			Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe},
		}
	}
	serve := func(b *bus.Bus) error {
		_, err := b.Serve(bus.Service{Name: "saver", Version: "1.0.0", Endpoints: []bus.Endpoint{
			{Verb: wire.VerbSave, Queue: "saver", Handle: func(*bus.Request) {}},
		}})
		return err
	}
	publish := func(b *bus.Bus) error { return b.Publish(wire.VerbBeat, wire.Message{}) }
	for _, test := range []struct {
		name        string
		permissions *server.Permissions
		do          func(*bus.Bus) error
		fatal       bool
	}{
		{"publish a verb", allow([]string{"_INBOX_S.>"}, []string{"_INBOX_M.>"}), publish, true},
		{"serve a verb", allow([]string{">"}, []string{"_INBOX_M.>", "$SRV.>"}), serve, true},
		{"hear answers", allow([]string{">"}, []string{"chunkline.>", "$SRV.>"}), publish, true},
		{"be found", allow([]string{">"}, []string{"_INBOX_M.>", "chunkline.>"}), serve, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := bus.Config{URL: guarded(t, test.permissions), User: "u", Password: canary}
			b, err := bus.Connect(cfg, bus.Patient(bus.Options{Job: "job", Role: bus.RoleMapper, Log: zerolog.Nop()}))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := b.WaitOnline(patience(t)); err != nil && (!test.fatal || !errors.Is(err, bus.ErrDenied)) {
				t.Fatal(err)
			}
			if err := test.do(b); err != nil {
				t.Logf("denied at once: %v", err)
			}
			flushed := b.Flush(patience(t))
			if !test.fatal {
				if flushed != nil || b.Err() != nil {
					t.Errorf("flush: %v, bus: %v", flushed, b.Err())
				}
				return
			}
			<-b.Closed()
			if err := b.Err(); !errors.Is(err, bus.ErrDenied) || !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
				t.Errorf("error %v, want %v that names the subject", err, bus.ErrDenied)
			}
		})
	}
}

// TestConnect_garbage: a port on which another program answers counts as no server.
func TestConnect_garbage(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
			if i == 2 {
				close(answered)
			}
		}
	}()
	defer func() { _ = l.Close(); <-ended }()
	var log logBuffer
	b, err := bus.Connect(bus.Config{URL: "nats://" + l.Addr().String()}, bus.Patient(bus.Options{Job: "job", Role: bus.RoleMapper, Log: zerolog.New(&log)}))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	<-answered // it goes on trying, and says once that it does
	if n := strings.Count(log.String(), "no connection to NATS"); n != 1 {
		t.Errorf("%d log lines say that there is no connection to NATS, want 1", n)
	}
	if b.Online() || b.Err() != nil {
		t.Errorf("online %v, error %v", b.Online(), b.Err())
	}
}

// TestFlush_answered: a flush that the server has answered returns no error, even if its
// context ends at the same moment.
func TestFlush_answered(t *testing.T) {
	t.Parallel()
	b := newNetwork(t).connect(bus.RoleSaver)
	ctx := patience(t)
	for i := range 2000 {
		if err := b.Flush(ctx); err != nil {
			t.Fatalf("flush %d: %v", i, err)
		}
	}
}

// TestClose_whileStopping: the connection may be closed at the very moment in which a service is
// stopped and a flush begins. Run with the race detector.
func TestClose_whileStopping(t *testing.T) {
	t.Parallel()
	network, ctx := newNetwork(t), patience(t)
	for range 100 {
		b := network.connect(bus.RoleSaver)
		stop, err := b.Serve(bus.Service{Name: "saver", Version: "1.0.0"})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(b.Close)
		all.Go(func() { _ = b.Flush(ctx) })
		all.Go(func() {
			if err := stop(ctx); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
		all.Wait()
	}
}

// logLines passes log lines to a test and drops those that the test does not wait for.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// TestConnect_refused: if no server listens, the log has that reason and not the error of
// nats.go that no servers are left.
func TestConnect_refused(t *testing.T) {
	t.Parallel()
	log := make(logLines, 1)
	address := loopback.Address()
	b, err := bus.Connect(bus.Config{URL: "nats://" + address}, bus.Patient(bus.Options{Job: "job", Role: bus.RoleMapper, Log: zerolog.New(log)}))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if line := <-log; !strings.Contains(line, address+": connect: connection refused: is a NATS server running there?") {
		t.Errorf("got the log line %s, want none", line)
	}
}
