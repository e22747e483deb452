package fetcher_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/sim"
)

// TestMemory: however many mappers ask and do not fetch their answers, the bytes of answers
// under way are bounded, and no chunk is leased without being sent. Answers that were not
// fetched free their memory, and a chunk larger than the bound is sent alone.
func TestMemory(t *testing.T) {
	for name, c := range map[string]struct {
		object      int // bytes
		least, most int // chunks under way
	}{
		"chunks":    {16 << 10, 28, 32},
		"too large": {600 << 10, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const memory, mappers = 1 << 20, 100
			path := filepath.Join(t.TempDir(), "large.jsonl")
			line := `"` + strings.Repeat("x", c.object-3) + "\"\n"
			if err := os.WriteFile(path, []byte(strings.Repeat(line, mappers)), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				b := &bench{t: t, net: bustest.NewMemory(bustest.Options{MaxPayload: 8 << 10}), sink: sim.NewSink(), done: make(chan error, 1)}
				own, peer, raw := b.net.Connect("fetcher"), b.net.Connect("peer"), b.net.Connect("raw")
				defer own.Close()
				defer peer.Close()
				defer raw.Close()
				b.peer = bus.New(peer, job)
				stop, err := b.peer.Serve(bus.Service{Name: "saver", Version: "1.0.0", Endpoints: []bus.Endpoint{{Verb: wire.VerbSync, Handle: b.sync}}})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = stop(context.Background()) }()
				src, err := source.Open(source.Options{Size: 1, Bytes: 1 << 20}, path)
				if err != nil {
					t.Fatal(err)
				}
				defer src.Close()
				owned := bus.New(own, job)
				cfg := fetcher.Config{ChunkSize: 1, ChunkBytes: 1 << 20, MaxAttempts: 10, OnDone: "exit", MaxDead: -1, Memory: memory}
				if b.Fetcher, err = fetcher.New(cfg, owned, src, zerolog.Nop()); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				go func() { b.done <- b.Run(ctx); close(b.done) }()
				defer func() { cancel(); <-b.done }()
				pass(time.Second)

				asking, stopAsking := context.WithCancel(t.Context())
				answers := make(chan wire.Header, mappers)
				for i := range mappers {
					n := next(fmt.Sprintf("x%d", i), 1)
					n.Wait = time.Hour
					m := n.Encode()
					m.Header = maps.Clone(m.Header)
					m.Header["Chunkline-Protocol"] = wire.Protocol
					go func() {
						a, err := raw.Request(asking, "chunkline."+job+".next", m) // fetches only the first part
						if err == nil {
							answers <- a.Header
						}
					}()
				}
				pass(500 * time.Millisecond)
				before := 0
				if n := len(answers); n < c.least || n > c.most {
					t.Errorf("%d chunks are on their way, want %d to %d", n, c.least, c.most)
				}
				for range len(answers) {
					if h := <-answers; h["Chunkline-Part"] != "first" {
						t.Errorf("got an answer with the header %v, want the first part of a chunk", h)
					}
					before++
				}
				if kept := owned.Kept(); c.most > 1 && kept > memory/2 {
					t.Errorf("%d bytes are kept, want at most %d", kept, memory/2)
				}
				if s := b.Status(); s.Chunks.InFlight != uint64(before) {
					t.Errorf("the ledger has %d chunks in flight, want %d", s.Chunks.InFlight, before)
				}
				if ready := b.Status().Chunks.Ready; c.most > 1 && int(ready)*c.object > memory/2+c.object {
					t.Errorf("%d chunks are ready, want at most %d bytes", ready, memory/2)
				}
				pass(time.Second)
				if s := b.Status(); s.Bottleneck == nil || s.Bottleneck.Cause != report.CauseMemory {
					t.Errorf("bottleneck %+v, want the memory", s.Bottleneck)
				}
				pass(34 * time.Second)
				if kept := owned.Kept(); kept != 0 {
					t.Errorf("%d bytes are kept after %d answers that were not fetched", kept, before)
				}
				stopAsking()
			})
		})
	}
}

// TestLowestRate: a rate so low that its pause overflows a Duration makes a long pause, not none.
func TestLowestRate(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		order := wire.Control{Action: wire.ControlRate, Rate: 1e-300}
		if _, err := b.peer.Request(t.Context(), wire.VerbControl, order.Encode()); err != nil {
			t.Fatal(err)
		}
		b.wantWork(b.ask(next("m1", 1)), 0)
		waits := b.ask(next("m2", 1))
		pass(time.Second)
		select {
		case w := <-waits:
			t.Errorf("got the next chunk immediately: %+v", w)
		default:
		}
		if s := b.Status(); s.Chunks.InFlight != 1 {
			t.Errorf("%d chunks in flight, want 1", s.Chunks.InFlight)
		}
	})
}

// TestRate_infinite: an infinite rate, which no status could carry, is refused.
func TestRate_infinite(t *testing.T) {
	run(t, 2, func(t *testing.T, b *bench) {
		if err := b.Control(t.Context(), wire.Control{Action: wire.ControlRate, Rate: math.Inf(1)}); err == nil || !strings.Contains(err.Error(), "use 0 (no limit)") {
			t.Errorf("rate: %v, want a refusal", err)
		}
		if s := b.Status(); s.RateLimit != 0 {
			t.Errorf("the limit is %g objects a second, want none", s.RateLimit)
		}
	})
}

// TestRate_burst: after 0.9 s in which no mapper asked, the objects handed out in a second exceed the rate by those of
// 100 ms, however many mappers ask.
func TestRate_burst(t *testing.T) {
	const rate = 20
	runWith(t, 200, func(cfg *fetcher.Config) { cfg.Rate = rate }, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m0", 1)), 0)
		pass(900 * time.Millisecond)
		granted := make(chan wire.Work, 100)
		for i := range cap(granted) {
			n := next(fmt.Sprintf("x%d", i), 1)
			n.Pace, n.Grain, n.Wait = time.Millisecond, 1, time.Minute
			answer := b.ask(n)
			go func() {
				if w, ok := <-answer; ok {
					granted <- w
				}
			}()
		}
		pass(time.Second)
		objects := 0
		for range len(granted) {
			for _, g := range (<-granted).Grant {
				objects += g.Piece().Len()
			}
		}
		if most := rate + rate/10; objects > most || objects < rate {
			t.Errorf("%d objects were handed out in a second, want %d to %d", objects, rate, most)
		}
	})
}

// TestRate_retries: what mappers try again counts, from the first heartbeat on. However many retries a client claims,
// the job goes on after a minute.
func TestRate_retries(t *testing.T) {
	runWith(t, 200, func(cfg *fetcher.Config) { cfg.Rate = 10 }, func(t *testing.T, b *bench) {
		wantPause := func(mapper string, pause time.Duration) {
			t.Helper()
			pass(pause - time.Second) // a mapper that asks and sends no heartbeats gets nothing after a while
			answer := b.ask(next(mapper, 1))
			synctest.Wait()
			select {
			case w := <-answer:
				t.Errorf("got %s of %v in a pause of %s", w.Status, pieces(w), pause)
				return
			default:
			}
			pass(1500 * time.Millisecond)
			select {
			case w := <-answer:
				if w.Status != wire.WorkGrant {
					t.Errorf("got %s, want work", w.Status)
				}
			default:
				t.Errorf("no work after a pause of %s", pause)
			}
		}
		b.wantWork(b.ask(next("m1", 1)), 0)
		b.tells("m1", 2, 0, wire.Beat{Retries: 1000}) // for an earlier fetcher
		b.wantWork(b.ask(next("m2", 1)), 1)
		b.tells("m1", 3, 0, wire.Beat{Retries: 1030})
		wantPause("m3", 3*time.Second)
		b.beat("m4", 1, nil)
		b.tells("m4", 2, 0, wire.Beat{Retries: 1 << 50})
		wantPause("m5", time.Minute)
	})
}
