package fetcher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const job = "fetcher"

// bench is a fetcher under test, whose peers the test plays.
type bench struct {
	t    *testing.T
	net  *bustest.Memory
	own  *bustest.Conn // the fetcher's
	sink *sim.Sink
	peer *bus.Bus // saver and mappers

	mu      sync.Mutex // guards the saver's answers from here on; see play
	claimed chunk.Plan
	load    report.SaverLoad    // in the next answers
	name    wire.SinkID         // likewise
	rival   func() bool         // whether a saver of another, empty sink answers instead; nil: never
	summary report.Summary      // in the next answers
	letters []report.DeadLetter // dead letters after a first one
	*fetcher.Fetcher
	logsAlone bool
	progress  int // progress lines that the test has checked
	noSaver   bool
	done      chan error
	log       logBuffer
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *logBuffer) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// run runs a fetcher in a bubble, with a source of objects in chunks of two.
func run(t *testing.T, objects int, test func(t *testing.T, b *bench)) {
	t.Helper()
	runWith(t, objects, func(*fetcher.Config) {}, test)
}

// runWith is run with other settings.
func runWith(t *testing.T, objects int, set func(*fetcher.Config), test func(t *testing.T, b *bench)) {
	t.Helper()
	runAfter(t, objects, func(*bench) {}, set, test)
}

// runAfter is runWith with a call of before, which prepares the sink.
func runAfter(t *testing.T, objects int, before func(*bench), set func(*fetcher.Config), test func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.jsonl")
	var text strings.Builder
	for i := range objects {
		fmt.Fprintln(&text, i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, net: bustest.NewMemory(bustest.Options{}), sink: sim.NewSink(), done: make(chan error, 1)}
		before(b)
		own, peer := b.net.Connect("fetcher"), b.net.Connect("peer")
		b.own = own
		defer own.Close()
		defer peer.Close()
		b.peer = bus.New(peer, job)
		endpoints := []bus.Endpoint{{Verb: wire.VerbMapper("m1"), Handle: b.obey}, {Verb: wire.VerbMapper("m2"), Handle: b.obey}}
		if !b.noSaver {
			endpoints = append(endpoints, bus.Endpoint{Verb: wire.VerbSync, Handle: b.sync})
		}
		stop, err := b.peer.Serve(bus.Service{Name: "saver", Version: "1.0.0", Endpoints: endpoints})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stop(context.Background()) }()
		src, err := source.Open(source.Options{Size: 2, Bytes: 1 << 20}, path)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		cfg := fetcher.Config{ChunkSize: 2, ChunkBytes: 1 << 20, MaxAttempts: 10, OnDone: "exit", MaxDead: -1}
		set(&cfg)
		b.Fetcher, err = fetcher.New(cfg, bus.New(own, job), src, zerolog.New(&b.log))
		if err != nil {
			t.Fatal(err)
		}
		if b.logsAlone {
			b.LogAlone()
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { b.done <- b.Run(ctx); close(b.done) }()
		defer func() { cancel(); <-b.done }()
		pass(time.Second)
		test(t, b)
	})
}

// holds puts results of chunks of two objects into the sink.
func (b *bench) holds(ids ...chunk.ID) {
	var results []sink.Result
	for _, id := range ids {
		body := fmt.Appendf(nil, "%d\n%d\n", 2*id, 2*id+1)
		results = append(results, sink.Result{Chunk: id, First: 2 * uint64(id), Objects: 2, Of: 2, Digest: chunk.Sum(body), Counts: []int{0, 0}})
	}
	if _, err := b.sink.Commit(context.Background(), results); err != nil {
		b.t.Fatal(err)
	}
}

// pass waits for d.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// play changes the saver's answers, between two of them.
func (b *bench) play(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// sync plays the saver.
func (b *bench) sync(r *bus.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := wire.DecodeSync(r.Message)
	if err != nil {
		b.t.Errorf("sync: %v", err)
		return
	}
	if b.rival != nil && b.rival() {
		b.reply(r, wire.SyncAnswer{Status: wire.SyncOtherPlan, Reason: "sink belongs to no plan yet", Sink: wire.SinkID{ID: "B", At: "host-b:/out"}}.Encode())
		return
	}
	ctx := context.Background()
	a := wire.SyncAnswer{Plan: q.Plan, Status: wire.SyncOK, Epoch: b.sink.Epoch(), Load: b.load, Summary: b.summary}
	var entries []sink.Entry
	switch {
	case q.Op == wire.SyncClaim:
		b.claimed = *q.Claim
		grant, e := b.sink.Claim(ctx, *q.Claim, q.Fetcher)
		a.Epoch, a.Key, a.Past, err = grant.Epoch, grant.Key, wire.VersionPast{Terms: grant.Terms, Transforms: grant.Transforms}, e
	case q.Epoch != b.sink.Epoch():
		a.Status = wire.SyncFenced
	case q.Op == wire.SyncFence:
		err = b.sink.FenceVersion(ctx, q.Version, q.Term)
	case q.Op == wire.SyncDead:
		a.Dead = &report.DeadPage{Letters: append([]report.DeadLetter{{Ordinal: uint64(q.Limit), Error: "odd"}}, b.letters...), Before: q.From}
	case q.Op == wire.SyncFinish:
		_, err = b.sink.Finish(ctx, q.Total.Chunks, q.Total.Objects)
	case q.Chunks != nil:
		entries, err = b.sink.Has(ctx, q.Chunks)
	default:
		entries, err = b.sink.List(ctx, q.From, q.Limit)
	}
	switch {
	case errors.Is(err, sink.ErrUnreachable): // the saver goes on trying to merge the result
		a = wire.SyncAnswer{Plan: q.Plan, Status: wire.SyncWorking, Reason: err.Error()}
	case err != nil:
		a = wire.SyncAnswer{Plan: q.Plan, Status: wire.SyncFailed, Reason: err.Error()}
	}
	a.Entries = append(a.Entries, entries...)
	a.Sink = b.name
	b.reply(r, a.Encode())
}

// obey plays a connected mapper.
func (b *bench) obey(r *bus.Request) { b.reply(r, wire.OrderAnswer{Plan: b.Status().Plan}.Encode()) }

func (b *bench) reply(r *bus.Request, m wire.Message) {
	if err := r.Reply(m); err != nil {
		b.t.Errorf("reply: %v", err)
	}
}

// ask sends a request for work, and returns a channel of its answer.
func (b *bench) ask(n wire.Next) <-chan wire.Work {
	answer := make(chan wire.Work, 1)
	if n.Wait == 0 {
		n.Wait = 5 * time.Second
	}
	go func() {
		defer close(answer)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		reply, err := b.peer.Request(ctx, wire.VerbNext, n.Encode())
		if err != nil {
			return
		}
		if w, err := wire.DecodeWork(reply); err == nil {
			answer <- w
		}
	}()
	synctest.Wait()
	return answer
}

// wholes returns chunks of two objects as pieces.
func wholes(ids ...chunk.ID) (pieces []chunk.Piece) {
	for _, id := range ids {
		pieces = append(pieces, chunk.Whole(id, 2))
	}
	return pieces
}

// chunkPace is the pace of a mapper whose grants are one chunk of two objects each.
const chunkPace = 12500 * time.Microsecond

// next returns a request of a mapper that holds chunks, whose workers map two objects at the same time.
func next(mapper string, seq uint64, held ...chunk.ID) wire.Next {
	return wire.Next{
		Mapper: report.Mapper{ID: mapper, Name: mapper, Transform: "users"}, Holding: wire.Holding{Seq: seq, Held: wholes(held...), Asking: []uint64{seq}}, Pace: chunkPace, Grain: 2,
	}
}

// beat sends a heartbeat of a mapper that holds chunks.
func (b *bench) beat(mapper string, seq uint64, doing *wire.Doing, held ...chunk.ID) {
	b.t.Helper()
	m := wire.Beat{
		Plan: b.Status().Plan, Mapper: report.Mapper{ID: mapper, Name: mapper, Transform: "users"}, Doing: doing, Holding: wire.Holding{Seq: seq, Held: wholes(held...)},
	}
	if err := b.peer.Publish(wire.VerbBeat, m.Encode()); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

// wantWork compares an answer, which must have arrived.
func (b *bench) wantWork(answer <-chan wire.Work, id chunk.ID) {
	b.t.Helper()
	synctest.Wait()
	select {
	case w := <-answer:
		if w.Status != wire.WorkGrant || len(w.Grant) != 1 || w.Grant[0].Piece() != chunk.Whole(id, 2) || w.Grant[0].Attempt != 1 {
			b.t.Errorf("got %s of %v; want chunk %d, attempt 1", w.Status, pieces(w), id)
		}
	default:
		b.t.Errorf("no answer yet, want chunk %d", id)
	}
}

// pieces names the pieces of a grant.
func pieces(w wire.Work) (names []string) {
	for _, g := range w.Grant {
		names = append(names, fmt.Sprintf("%s attempt %d", g.Piece(), g.Attempt))
	}
	return names
}

// only returns the only piece of a grant.
func only(w wire.Work) wire.Granted {
	if len(w.Grant) != 1 {
		return wire.Granted{}
	}
	return w.Grant[0]
}
