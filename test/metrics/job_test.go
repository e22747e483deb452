package metrics

import (
	"context"
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/natsserver"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/loopback"
)

const patience = 2 * time.Minute // bounds the wait for anything that must happen

// job runs all roles in one process, with a NATS server that can be stopped.
type job struct {
	t       *testing.T
	address string
	server  *natsserver.Server
	group   *errgroup.Group
	seen    *sampler
}

func newJob(t *testing.T) *job {
	t.Helper()
	j := &job{t: t, address: loopback.Address(), group: new(errgroup.Group), seen: newSampler()}
	j.serve()
	t.Cleanup(func() {
		_ = j.group.Wait() // after the contexts of the roles have ended
		j.server.Shutdown()
	})
	return j
}

func (j *job) serve() {
	j.t.Helper()
	server, err := natsserver.Start(natsserver.Options{Listen: j.address, Log: zerolog.Nop()})
	if err != nil {
		j.t.Fatal(err)
	}
	j.server = server
}

func (j *job) connect(role bus.Role) *bus.Bus {
	j.t.Helper()
	b, err := bus.Connect(bus.Config{URL: "nats://" + j.address}, bus.Options{Job: "moves", Role: role, Name: "test", Log: zerolog.Nop()})
	if err != nil {
		j.t.Fatal(err)
	}
	j.t.Cleanup(b.Close)
	return b
}

// start runs a role until the end of the test, or until stop is called.
func (j *job) start(name string, run func(context.Context) error, metrics prometheus.Collector) (stop func()) {
	ctx, stop := context.WithCancel(j.t.Context())
	j.seen.add(name, metrics)
	j.group.Go(func() error { return run(ctx) })
	return stop
}

func (j *job) fetcher(stdin io.Reader) {
	j.t.Helper()
	const size, bytes = 10, 1 << 20
	src, err := source.Open(source.Options{Size: size, Bytes: bytes, Stdin: stdin}, "-")
	if err != nil {
		j.t.Fatal(err)
	}
	f, err := fetcher.New(fetcher.Config{
		ChunkSize: size, ChunkBytes: bytes, MaxAttempts: 1, Speculate: true, OnDone: "stay", MaxDead: -1, FinishWithin: time.Hour,
	}, j.connect(bus.RoleFetcher), src, zerolog.Nop())
	if err != nil {
		j.t.Fatal(err)
	}
	j.start("fetcher", f.Run, f)
}

// limit sets how many objects are handed out a second; 0: no limit.
func (j *job) limit(rate float64) {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), patience)
	defer cancel()
	order := wire.Control{Action: wire.ControlRate, Rate: rate}
	answer, err := j.connect(bus.RoleOperator).Request(ctx, wire.VerbControl, order.Encode())
	if err == nil {
		_, err = wire.DecodeControlAnswer(answer)
	}
	if err != nil {
		j.t.Fatal(err)
	}
}

func (j *job) mapper() (stop func()) {
	j.t.Helper()
	m, err := mapper.New(mapper.Config{
		Transform: transform, Workers: 2, Timeout: time.Second, Version: "v1", Name: "real", StopTimeout: time.Second,
	}, j.connect(bus.RoleMapper), zerolog.Nop())
	if err != nil {
		j.t.Fatal(err)
	}
	return j.start("mapper", m.Run, m)
}

// transform never ends at one object and fails at many, so that at least one of those
// fails before its timeout, however busy the machine is.
const transform = `jq:if .n == 102 then last(repeat(1)) elif .n % 10 == 1 then error("no") else . end`

func (j *job) saver() *fullSink {
	j.t.Helper()
	folder, err := sink.OpenFolder(filepath.Join(j.t.TempDir(), "out"), "moves", sink.FolderOptions{})
	if err != nil {
		j.t.Fatal(err)
	}
	j.t.Cleanup(func() { _ = folder.Close() })
	out := &fullSink{Folder: folder}
	s := saver.New(j.connect(bus.RoleSaver), out, zerolog.Nop())
	j.start("saver", s.Run, s)
	return out
}

// fullSink is a folder whose disk can be full.
type fullSink struct {
	*sink.Folder
	full atomic.Bool
}

func (s *fullSink) Commit(ctx context.Context, results []sink.Result) ([]sink.Outcome, error) {
	if s.full.Load() {
		return nil, sink.ErrFull
	}
	return s.Folder.Commit(ctx, results)
}
