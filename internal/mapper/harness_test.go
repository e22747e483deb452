package mapper_test

import (
	"bytes"
	"context"
	"slices"
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
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const job = "mapper"

var plan = chunk.Plan{Source: "a", Size: 2, Bytes: 100, Format: chunk.FormatVersion}

// bench is a mapper under test, whose peers the test plays.
type bench struct {
	t      *testing.T
	net    *bustest.Memory
	peer   *bus.Bus
	conn   *bustest.Conn // of the mapper
	bus    *bus.Bus      // of the mapper
	alive  func() error
	ready  func() error
	cancel context.CancelFunc
	stop   func() // ends what serve began
	done   chan error
	log    bytes.Buffer // read it after done

	nexts chan *bus.Request // what the mapper asks
	saves chan *bus.Request // what it sends to be saved

	mu    sync.Mutex
	beats []wire.Beat // guarded by mu
}

// run runs a mapper in a bubble. The fetcher is there, the saver too.
func run(t *testing.T, cfg mapper.Config, test func(t *testing.T, b *bench)) {
	t.Helper()
	cfg.Version = "v1"
	runNamed(t, cfg, test)
}

// runNamed is run for a mapper whose version is that of cfg.
func runNamed(t *testing.T, cfg mapper.Config, test func(t *testing.T, b *bench)) {
	t.Helper()
	runRigged(t, cfg, func(*mapper.Mapper) {}, test)
}

// runRigged is run with a mapper that is changed before it starts.
func runRigged(t *testing.T, cfg mapper.Config, rig func(*mapper.Mapper), test func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := bustest.NewMemory(bustest.Options{})
		b := &bench{
			t: t, net: net, conn: net.Connect("mapper"), peer: bus.New(net.Connect("peer"), job), done: make(chan error, 1),
			nexts: make(chan *bus.Request, 100), saves: make(chan *bus.Request, 100),
		}
		b.bus = bus.New(b.conn, job)
		defer b.peer.Close()
		defer b.conn.Close()
		b.stop = b.serve()
		defer func() { b.stop() }()
		cfg.Name = "m"
		m, err := mapper.New(cfg, b.bus, zerolog.New(zerolog.SyncWriter(&b.log)))
		if err != nil {
			t.Fatal(err)
		}
		rig(m)
		b.alive, b.ready = m.Alive, m.Ready
		ctx, cancel := context.WithCancel(t.Context())
		b.cancel = cancel
		go func() { b.done <- m.Run(ctx); close(b.done) }()
		defer func() { cancel(); <-b.done }()
		synctest.Wait()
		test(t, b)
	})
}

// serve plays the saver and the fetcher.
func (b *bench) serve() (stop func()) {
	endpoints := []bus.Endpoint{
		{Verb: wire.VerbSave, Handle: func(r *bus.Request) { b.saves <- r }},
		{Verb: wire.VerbNext, Handle: func(r *bus.Request) { b.nexts <- r }},
		{Verb: wire.VerbBeat, Handle: b.hear},
	}
	stopServing, err := b.peer.Serve(bus.Service{Name: "peer", Version: "1.0.0", Endpoints: endpoints})
	if err != nil {
		b.t.Fatal(err)
	}
	return func() { _ = stopServing(context.Background()) }
}

func (b *bench) hear(r *bus.Request) {
	beat, err := wire.DecodeBeat(r.Message)
	if err != nil {
		b.t.Errorf("beat: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beats = append(b.beats, beat)
}

// heard returns the beats since it was last called.
func (b *bench) heard() []wire.Beat {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	beats := b.beats
	b.beats = nil
	return beats
}

// next takes a request for work.
func (b *bench) next() (*bus.Request, wire.Next) {
	b.t.Helper()
	select {
	case r := <-b.nexts:
		n, err := wire.DecodeNext(r.Message)
		if err != nil {
			b.t.Fatal(err)
		}
		return r, n
	case <-time.After(time.Minute):
		b.t.Fatal("the mapper does not ask for work")
		return nil, wire.Next{}
	}
}

// result is a message with one result.
type result struct {
	wire.Save
	wire.Result
}

// save takes a message with one result.
func (b *bench) save() (*bus.Request, result) {
	b.t.Helper()
	r, s := b.saveAll()
	if len(s.Results) != 1 {
		b.t.Fatalf("%d results in one message, want one", len(s.Results))
	}
	return r, result{s, s.Results[0]}
}

// saveAll takes a message with results.
func (b *bench) saveAll() (*bus.Request, wire.Save) {
	b.t.Helper()
	select {
	case r := <-b.saves:
		s, err := wire.DecodeSave(r.Message)
		if err != nil {
			b.t.Fatal(err)
		}
		return r, s
	case <-time.After(time.Hour):
		b.t.Fatal("the mapper sends no result")
		return nil, wire.Save{}
	}
}

func reply(t *testing.T, r *bus.Request, m wire.Message) {
	t.Helper()
	if err := r.Reply(m); err != nil {
		t.Errorf("reply: %v", err)
	}
	synctest.Wait()
}

// work is a chunk of two users.
func work(id chunk.ID) wire.Work {
	body := []byte(`{"uuid":"a","fn":"b","ln":"c"}` + "\n" + `{"uuid":"d","fn":"e","ln":"f"}` + "\n")
	c := chunk.Chunk{ID: id, First: 2 * uint64(id), Count: 2, Body: body}
	return wire.Work{Status: wire.WorkGrant, Plan: plan.ID(), Epoch: 3, Grant: []wire.Granted{
		{Chunk: c, Of: c.Count, Digest: c.Digest(), Attempt: 1, Token: strings.Repeat("0a", 16)},
	}}
}

// order gives the mapper an order.
func (b *bench) order(o wire.Order) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	_, err := b.peer.Request(ctx, wire.VerbMapper(b.bus.ID()), o.Encode())
	synctest.Wait()
	return err
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// last returns the last beat of the last second and a bit.
func (b *bench) last() wire.Beat {
	b.t.Helper()
	pass(1100 * time.Millisecond)
	beats := b.heard()
	if len(beats) == 0 {
		b.t.Fatal("no beat within 1.1s")
	}
	return beats[len(beats)-1]
}

// whole is chunks of two objects as pieces.
func whole(ids ...chunk.ID) (pieces []chunk.Piece) {
	for _, id := range ids {
		pieces = append(pieces, chunk.Piece{Chunk: id, To: 2})
	}
	return pieces
}

func (b *bench) wantHeld(want ...chunk.ID) {
	b.t.Helper()
	if got := b.last().Held; !slices.Equal(got, whole(want...)) {
		b.t.Errorf("the mapper lists %v as held, want chunks %v", got, want)
	}
}
