package fetcher

import (
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

const (
	// pieceWork is the most work of one piece. It bounds the work that is lost with a mapper, and the delay of results
	// and progress.
	pieceWork = 5 * time.Second

	// grantWork is the least work of a grant. It makes the round trip for a grant, about a millisecond, a small part.
	// Only quick work needs several pieces for that.
	grantWork = 25 * time.Millisecond

	// maxGrantBytes bounds the objects of a grant. With their headers they fit into one message at the default
	// max_payload of 1 MiB. The last piece may exceed it.
	maxGrantBytes = 512 << 10
)

// A size is the amount of work of a grant.
type size struct {
	least int // least objects of the grant; the last piece may exceed it
	most  int // objects of one piece
}

// sizeFor sizes a grant by the mapper's time per object: pace, or its version's if it has not measured that yet. Work
// of unknown length starts with one object. No piece has fewer objects than the grain, the number that a worker maps at
// the same time: a service that takes batches needs as long for fewer.
//
// At the end of the source no grant exceeds the remaining work divided by twice the number of workers, so that all
// finish at about the same time: guided self-scheduling (Polychronopoulos and Kuck, IEEE Transactions on Computers
// C-36, 1987). But no piece becomes shorter than grantWork.
//
// With a rate, no piece has more objects than the rate allows in rateBurst, unless the grain is larger.
func (c *coordinator) sizeFor(m *mapper, pace time.Duration, grain int) size {
	grain = max(1, grain)
	if pace <= 0 && m != nil {
		pace = m.of.objectTime
	}
	if pace <= 0 {
		return size{least: grain, most: grain}
	}
	s := size{least: max(grain, objectsIn(grantWork, pace)), most: min(max(grain, objectsIn(pieceWork, pace)), c.objectsInMessage())}
	if c.cut {
		share := max(c.ledger.Remaining()/(2*max(1, c.slots)), s.least)
		s.most = min(s.most, share)
	}
	if c.rate > 0 {
		s.most = min(s.most, max(grain, int(min(c.rate*rateBurst.Seconds(), maxGrantObjects))))
		s.least = min(s.least, s.most)
	}
	return s
}

// objectsIn returns how many objects are mapped in work time, at least 1 and at most as many as a grant can have.
func objectsIn(work, pace time.Duration) int {
	return int(min(max(work/pace, 1), maxGrantObjects))
}

// maxGrantObjects bounds the objects of a grant for any pace.
const maxGrantObjects = 100 * chunk.MaxSize

// objectsInMessage returns how many objects fit into one message, by the mean size of the objects cut so far. A larger
// piece, or an object larger than a message, travels in parts.
func (c *coordinator) objectsInMessage() int {
	return max(1, int(uint64(c.mostBytes())*max(1, c.objects)/max(1, c.bytes)))
}

// mostBytes returns the size at which a grant gets no further piece.
func (c *coordinator) mostBytes() int { return min(maxGrantBytes, c.f.bus.MaxPayload()/2) }
