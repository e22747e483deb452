package ledger

import (
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// BenchmarkLongLists measures the most expensive report: its lists are as long as the
// protocol allows, and its mapper holds as many pieces.
func BenchmarkLongLists(b *testing.B) {
	const long = 1 << 16
	l := New(testConfig)
	now := time.Unix(0, 0)
	held, asking := make([]chunk.Piece, long), make([]uint64, long)
	for i := range held {
		held[i], asking[i] = chunk.Whole(l.Add(now, 10), 10), uint64(1<<40)+uint64(i)
	}
	for seq := uint64(1); b.Loop(); seq++ {
		l.Hear(now, Report{Mapper: "m", Seq: 2 * seq, Held: held})
		if lost := l.Hear(now, Report{Mapper: "m", Seq: 2*seq + 1, Asking: asking}).Lost; len(lost) != long {
			b.Fatalf("%d leases were lost, want %d", len(lost), long)
		}
	}
}
