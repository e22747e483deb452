package chunk

import (
	"cmp"
	"fmt"
)

// A Piece names consecutive objects of one chunk: those with From <= index < To. It
// is the unit of leasing and saving, and usually the whole chunk.
type Piece struct {
	Chunk    ID
	From, To int
}

// Len is the number of objects.
func (p Piece) Len() int { return p.To - p.From }

// Overlaps reports whether the two pieces have an object in common.
func (p Piece) Overlaps(o Piece) bool {
	return p.Chunk == o.Chunk && p.From < o.To && o.From < p.To
}

// Compare orders pieces by chunk, then by their place in the chunk.
func (p Piece) Compare(o Piece) int {
	return cmp.Or(cmp.Compare(p.Chunk, o.Chunk), cmp.Compare(p.From, o.From), cmp.Compare(p.To, o.To))
}

// String returns the piece as in log lines: 18[0,50).
func (p Piece) String() string { return fmt.Sprintf("%d[%d,%d)", p.Chunk, p.From, p.To) }
