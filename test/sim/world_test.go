package sim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/trace"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // histories are short and their garbage is small: collecting it less often saves a quarter of the time
	goleak.VerifyTestMain(m)
}

const job = "sim"

// world is one simulated job.
type world struct {
	t      *testing.T
	net    *bustest.Memory
	sink   *Sink
	source string // path
	size   int    // objects of a chunk
	roles  []*role
	log    lockedBuffer
	tape   tape
	began  time.Time
	away   atomic.Bool // NATS is down: roles that start now are offline
	tracer *trace.Tracer

	mu    sync.Mutex
	conns map[string]*bustest.Conn // guarded by mu; the newest of each name
}

// run runs a test in a bubble, with a source of so many users in chunks of size.
func run(t *testing.T, users, size int, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	path := filepath.Join(t.TempDir(), "users.jsonl")
	writeUsers(t, path, 0, users)
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: bustest.NewMemory(bustest.Options{}), sink: NewSink(), source: path, size: size, conns: map[string]*bustest.Conn{}, began: time.Now()}
		w.net.SetHook(w.tape.see)
		defer w.end()
		test(t, w)
	})
}

// end ends all processes.
func (w *world) end() {
	for _, r := range w.roles {
		r.crash()
	}
	if w.t.Failed() {
		w.t.Logf("log:\n%s", w.log.String())
	}
}

func user(i int) string { return fmt.Sprintf(`{"uuid":"u%d","fn":"f%d","ln":"l"}`, i, i) }

// writeUsers writes the users from one number up to another.
func writeUsers(t *testing.T, path string, from, to int) {
	t.Helper()
	var text strings.Builder
	for i := from; i < to; i++ {
		text.WriteString(user(i) + "\n")
	}
	writeFile(t, path, text.String())
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// role is one running process.
type role struct {
	t      *testing.T
	conn   *bustest.Conn
	bus    *bus.Bus
	ready  func() error
	cancel context.CancelFunc
	done   chan struct{}
	err    error     // of Run; after done
	ended  time.Time // after done
	*fetcher.Fetcher
}

// launch starts a role on a connection of its own.
func (w *world) launch(name string, build func(*bus.Bus, zerolog.Logger) (func(context.Context) error, func() error)) *role {
	w.t.Helper()
	conn := w.net.Connect(name)
	if w.away.Load() {
		conn.Disconnect()
	}
	w.mu.Lock()
	w.conns[name] = conn
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(w.t.Context())
	r := &role{t: w.t, conn: conn, bus: bus.NewWithID(conn, job, fmt.Sprintf("%s-%d", name, len(w.roles))), cancel: cancel, done: make(chan struct{})}
	body, ready := build(r.bus, w.logger(name))
	r.ready = ready
	w.roles = append(w.roles, r)
	go func() {
		defer close(r.done)
		r.err = body(ctx)
		r.ended = time.Now()
		conn.Close()
	}()
	return r
}

func (w *world) saver(name string) *role {
	w.t.Helper()
	r := w.launchSaver(name)
	synctest.Wait()
	return r
}

func (w *world) launchSaver(name string) *role {
	w.t.Helper()
	return w.launch(name, func(b *bus.Bus, log zerolog.Logger) (func(context.Context) error, func() error) {
		s := saver.New(b, w.sink.Open(b.Closed()), log)
		s.Trace(w.tracer)
		return s.Run, s.Ready
	})
}

func (w *world) fetcher(name string, change func(*fetcher.Config)) *role {
	w.t.Helper()
	r := w.launchFetcher(name, change)
	synctest.Wait()
	return r
}

func (w *world) launchFetcher(name string, change func(*fetcher.Config)) *role {
	w.t.Helper()
	cfg := fetcher.Config{
		Source: w.source, ChunkSize: w.size, ChunkBytes: 1 << 20, MaxAttempts: 10, OnDone: "exit", MaxDead: -1,
	}
	if change != nil {
		change(&cfg)
	}
	var f *fetcher.Fetcher
	lines, err := source.ParseFormat("lines") // not detected: all of the first lines may be broken
	if err != nil {
		w.t.Fatal(err)
	}
	src, err := source.Open(source.Options{Format: lines, Size: cfg.ChunkSize, Bytes: cfg.ChunkBytes}, cfg.Source)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.launch(name, func(b *bus.Bus, log zerolog.Logger) (func(context.Context) error, func() error) {
		if f, err = fetcher.New(cfg, b, src, log); err != nil {
			w.t.Fatal(err)
		}
		f.Trace(w.tracer)
		return func(ctx context.Context) error {
			defer func() { _ = src.Close() }()
			return f.Run(ctx)
		}, f.Ready
	})
	r.Fetcher = f
	return r
}

func (w *world) mapper(name, transform string, change func(*mapper.Config)) *role {
	w.t.Helper()
	r := w.launchMapper(name, transform, change)
	synctest.Wait()
	return r
}

func (w *world) launchMapper(name, transform string, change func(*mapper.Config)) *role {
	w.t.Helper()
	cfg := mapper.Config{Transform: transform, Workers: 1, Name: name, Version: "v1", StopTimeout: 20 * time.Second}
	if change != nil {
		change(&cfg)
	}
	return w.launch(name, func(b *bus.Bus, log zerolog.Logger) (func(context.Context) error, func() error) {
		m, err := mapper.New(cfg, b, log)
		if err != nil {
			w.t.Fatal(err)
		}
		m.Trace(w.tracer)
		m.InProcess()
		return m.Run, m.Ready
	})
}

// logger writes to the common log, with the simulated time since the beginning.
func (w *world) logger(name string) zerolog.Logger {
	return zerolog.New(&w.log).With().Str("name", name).Logger().Hook(zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Stringer("at", time.Since(w.began))
	}))
}

// kill crashes the process without waiting for its end.
func (r *role) kill() {
	r.conn.Crash()
	r.cancel()
}

// crash crashes the process and waits for its end.
func (r *role) crash() {
	r.kill()
	<-r.done
}

// conn returns the newest connection of that name.
func (w *world) conn(name string) *bustest.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns[name]
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// within waits at most d for the role to end, and returns its error.
func (r *role) within(d time.Duration) error {
	r.t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(d):
		r.t.Fatalf("still runs after %s; status %+v", d, r.status())
		return nil
	}
}

func (r *role) status() any {
	if r.Fetcher != nil {
		return r.Status()
	}
	return nil
}

// until waits at most d for is to return true.
func (w *world) until(d time.Duration, what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(d); !is(); pass(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not within %s: %s", d, what)
		}
	}
}

// complete fails the test unless the sink holds users 0 to n, in order, except the dead ones.
func (w *world) complete(n int, dead ...int) {
	w.t.Helper()
	var want strings.Builder
	isDead := map[int]bool{}
	for _, i := range dead {
		isDead[i] = true
	}
	for i := range n {
		if !isDead[i] {
			fmt.Fprintf(&want, "{\"id\":\"u%d\",\"name\":\"f%d l\"}\n", i, i)
		}
	}
	got, _ := w.sink.Content()
	if got != want.String() {
		w.t.Errorf("sink holds\n%s\nwant\n%s", got, want.String())
	}
	if s := w.sink.Summary(); s.Dead != uint64(len(dead)) || s.Output == "" {
		w.t.Errorf("sink's summary is %+v, want %d dead and finished", s, len(dead))
	}
}
