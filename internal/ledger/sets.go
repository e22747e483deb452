package ledger

import (
	"container/heap"
	mathbits "math/bits"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// bitmap is a set of chunk IDs, one bit each.
type bitmap []uint64

func (b *bitmap) set(id chunk.ID) {
	word := int(id / 64)
	if word >= len(*b) {
		*b = append(*b, make([]uint64, word+1-len(*b))...)
	}
	(*b)[word] |= 1 << (id % 64)
}

func (b bitmap) has(id chunk.ID) bool {
	word := id / 64
	return word < chunk.ID(len(b)) && b[word]&(1<<(id%64)) != 0
}

// count is how many IDs of a range are in the set.
func (b bitmap) count(from, to chunk.ID) int {
	n := 0
	for id := from; id < to; {
		word, bit := id/64, id%64
		if word >= chunk.ID(len(b)) {
			break
		}
		bits := b[word] >> bit
		width := 64 - bit
		if to-id < width {
			width = to - id
			bits &= 1<<width - 1
		}
		n += mathbits.OnesCount64(bits)
		id += width
	}
	return n
}

// ids is a heap of chunk IDs, the lowest first.
type ids []chunk.ID

func (s ids) Len() int           { return len(s) }
func (s ids) Less(i, j int) bool { return s[i] < s[j] }
func (s ids) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *ids) Push(x any)        { *s = append(*s, x.(chunk.ID)) }
func (s *ids) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

func (s *ids) add(id chunk.ID) { heap.Push(s, id) }
func (s *ids) drop()           { heap.Pop(s) }

// maxDeparted bounds how many mappers that are gone are remembered. Only their
// delayed messages matter, so the last few thousand are plenty.
const maxDeparted = 4096

// departed remembers the last message number of mappers that are gone, so that
// a delayed message does not bring one back.
type departed struct {
	seq   map[string]uint64
	order []string // a ring, oldest at next
	next  int
}

func newDeparted() departed { return departed{seq: map[string]uint64{}} }

func (g *departed) remember(id string, seq uint64) {
	if _, known := g.seq[id]; !known {
		if len(g.order) < maxDeparted {
			g.order = append(g.order, id)
		} else {
			delete(g.seq, g.order[g.next])
			g.order[g.next] = id
			g.next = (g.next + 1) % maxDeparted
		}
	}
	g.seq[id] = seq
}

// spanDurations is how many completed chunks the median is taken of: enough to
// be steady, few enough to follow a change within seconds.
const spanDurations = 101

// durations keeps how long the last chunks were in flight.
type durations struct {
	ring   []time.Duration
	next   int
	fresh  int // values since the median was taken
	median time.Duration
}

func (d *durations) add(v time.Duration) {
	if len(d.ring) < spanDurations {
		d.ring = append(d.ring, v)
	} else {
		d.ring[d.next] = v
		d.next = (d.next + 1) % spanDurations
	}
	d.fresh++
	if d.fresh >= spanDurations/4 || len(d.ring) < spanDurations/4 {
		d.fresh = 0
		sorted := slices.Sorted(slices.Values(d.ring))
		d.median = sorted[len(sorted)/2]
	}
}

// contains says whether an ascending list has v.
func contains[T ~uint64](ascending []T, v T) bool {
	_, has := slices.BinarySearch(ascending, v)
	return has
}
