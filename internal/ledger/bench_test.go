package ledger

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// BenchmarkLedger runs a ledger with 10 million chunks (a billion objects; with -short a
// tenth of that) and 10,000 mappers: each asks, gets a chunk, sends a heartbeat, and has the chunk saved,
// in random order. It reports the time of one transition, which is one call, and the
// memory that the ledger keeps at the end.
//
// Run it with -bench Ledger -benchtime 1x.
func BenchmarkLedger(b *testing.B) {
	chunks := 10_000_000
	if testing.Short() {
		chunks /= 10
	}
	const (
		mappers = 10_000
		window  = 256
		tick    = 250 * time.Millisecond
		perTick = mappers / 4 // chunks, so that a chunk takes about a second
	)
	for range b.N {
		before := heapInUse()
		random := rand.New(rand.NewPCG(1, 2))
		l := New(testConfig)
		now := time.Unix(0, 0)
		calls := 0
		type node struct {
			name string
			seq  uint64
			held []chunk.Piece
		}
		nodes := make([]node, mappers)
		for i := range nodes {
			nodes[i] = node{name: fmt.Sprintf("mapper-%05d", i), held: make([]chunk.Piece, 0, 1)}
		}
		asking := make([]uint64, 1)
		start := time.Now()
		for turn := 0; l.counts[Saved] < chunks-mappers; turn++ {
			for l.counts[Ready] < window && int(l.added) < chunks {
				l.Add(now, chunk.DefaultSize)
				calls++
			}
			n := &nodes[random.IntN(mappers)]
			if len(n.held) > 0 {
				l.Saved(now, n.held[0], n.name)
				n.held = n.held[:0]
				calls++
			}
			n.seq++
			asking[0] = n.seq
			l.Hear(now, Report{Mapper: n.name, Seq: n.seq, Asking: asking})
			calls++
			if l.HasWork(now) {
				if given, ok := l.Lease(now, n.name, n.seq, 0, 0); ok {
					n.held = append(n.held, given.Piece)
				}
				calls++
			}
			beat := &nodes[turn%mappers]
			beat.seq++
			l.Hear(now, Report{Mapper: beat.name, Seq: beat.seq, Held: beat.held})
			calls += 2
			if turn%perTick == 0 {
				now = now.Add(tick)
				if _, gone := l.Expire(now); len(gone) > 0 {
					b.Fatalf("%d live mappers were given up", len(gone))
				}
				calls++
			}
		}
		elapsed := time.Since(start)
		b.ReportMetric(float64(elapsed.Nanoseconds())/float64(calls), "ns/transition")
		b.ReportMetric((heapInUse()-before)/(1<<20), "MiB")
		if lost := l.tally.Lost + l.tally.Vanished; lost > 0 {
			b.Errorf("%d leases were lost, want none", lost)
		}
		runtime.KeepAlive(l)
	}
}

// heapInUse returns the heap memory in use, in bytes.
func heapInUse() float64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}
