package fetcher

import (
	"math"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
)

// The ledger leases pieces of chunks. The messages of protocol 1 name whole chunks, so the
// fetcher leases every chunk as one piece, in a grant of its own.
const (
	wholeChunks = 0 // no limit to the objects of a piece
	emptyGrant  = 0 // pieces that a grant has already
)

// whole returns a chunk as a piece. The size of a chunk that was not added yet, or is saved, is
// not known; the ledger does not need it.
func (c *coordinator) whole(id chunk.ID) chunk.Piece {
	if h := c.held[id]; h != nil {
		return chunk.Whole(id, h.count)
	}
	return chunk.Whole(id, math.MaxInt)
}

func (c *coordinator) wholes(ids []chunk.ID) []chunk.Piece {
	pieces := make([]chunk.Piece, len(ids))
	for i, id := range ids {
		pieces[i] = c.whole(id)
	}
	return pieces
}

// chunksOf returns the chunks of pieces that are whole chunks.
func chunksOf(pieces []chunk.Piece) []chunk.ID {
	ids := make([]chunk.ID, len(pieces))
	for i, p := range pieces {
		ids[i] = p.Chunk
	}
	return ids
}

// look returns what is known of a chunk, and false if it was not added.
func (c *coordinator) look(now time.Time, id chunk.ID) (ledger.View, bool) {
	_, pieces, added := c.ledger.Look(now, id)
	if !added {
		return ledger.View{}, false
	}
	return pieces[0], true
}

// chunkTime returns how long a chunk of the usual size is in flight; 0 if that is not known.
func (c *coordinator) chunkTime() time.Duration {
	objects := float64(c.objects) / float64(max(1, c.ledger.Counts().Added))
	return time.Duration(objects * float64(c.ledger.ObjectTime()))
}
