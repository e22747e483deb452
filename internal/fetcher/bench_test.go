package fetcher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/wire"
)

// benchFetcher is a fetcher with an empty source, which does not run.
func benchFetcher(b *testing.B) *Fetcher {
	b.Helper()
	src, err := source.Open(source.Options{Size: 100, Bytes: 1 << 20, Stdin: strings.NewReader("")}, "-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = src.Close() })
	conn := bustest.NewMemory(bustest.Options{}).Connect("fetcher")
	b.Cleanup(conn.Close)
	f, err := New(Config{ChunkSize: 100, ChunkBytes: 1 << 20, OnDone: stay, MaxDead: -1, Speculate: true}, bus.New(conn, "bench"), src, zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// BenchmarkReport measures the report of a job with 1,000 mappers that hold two chunks
// each, which the coordinator makes four times a second.
func BenchmarkReport(b *testing.B) {
	const mappers = 1000
	f := benchFetcher(b)
	c := newCoordinator(f)
	now := time.Now()
	for range 3 * mappers {
		c.ledger.Add(now, 100)
	}
	for i := range mappers {
		id := fmt.Sprintf("M%025d", i)
		m := report.Mapper{ID: id, Name: fmt.Sprintf("mapper-%d", i), Version: "v1"}
		c.hear(now, m, f.planID, wire.Holding{Seq: 1, Asking: []uint64{1, 2}}, nil, false)
		c.ledger.Lease(now, id, 1, 0, 0)
		c.ledger.Lease(now, id, 2, 0, 0)
	}
	for b.Loop() {
		now = now.Add(tickInterval)
		c.report(now)
	}
}

// BenchmarkHello measures the requests of 1,000 mappers with 8 workers after a hello,
// while no chunk is ready.
func BenchmarkHello(b *testing.B) {
	const mappers, workers = 1000, 8
	f := benchFetcher(b)
	var herd []wire.Message
	for i := range mappers {
		n := wire.Next{Mapper: report.Mapper{ID: fmt.Sprintf("M%025d", i), Name: fmt.Sprintf("mapper-%d", i), Version: "v1", Transform: "users"}, Wait: time.Minute}
		for range workers {
			n.Seq++
			n.Asking = append(n.Asking, n.Seq)
			herd = append(herd, n.Encode())
		}
	}
	for b.Loop() {
		c := newCoordinator(f)
		for _, m := range herd {
			next, err := wire.DecodeNext(m)
			if err != nil {
				b.Fatal(err)
			}
			now := time.Now()
			c.hearNext(now, &bus.Request{}, next)
			c.waiting.expire(c, now)
			c.assign(now)
		}
		if n := c.waiting.len(); n != len(herd) {
			b.Fatalf("%d requests wait, want %d", n, len(herd))
		}
	}
}
