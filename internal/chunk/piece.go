package chunk

import (
	"cmp"
	"fmt"
)

// A Piece is consecutive objects of one chunk: those with From <= index < To, where the index counts from 0 within the
// chunk. It is the unit of leasing and saving, and usually the whole chunk.
type Piece struct {
	Chunk    ID
	From, To int
}

// Whole returns the piece that is a whole chunk of the given number of objects.
func Whole(id ID, objects int) Piece { return Piece{Chunk: id, To: objects} }

// String returns the piece for logs: "18[0,50)" is the first 50 objects of chunk 18.
func (p Piece) String() string { return fmt.Sprintf("%d[%d,%d)", p.Chunk, p.From, p.To) }

// Len returns the number of objects.
func (p Piece) Len() int { return p.To - p.From }

// Fits reports whether the piece has objects, and all of them are in a chunk of the given number of objects.
func (p Piece) Fits(objects int) bool { return 0 <= p.From && p.From < p.To && p.To <= objects }

// Has reports whether the object with that index within the chunk is in the piece.
func (p Piece) Has(index int) bool { return p.From <= index && index < p.To }

// Contains reports whether every object of o is in p.
func (p Piece) Contains(o Piece) bool {
	return p.Chunk == o.Chunk && p.From <= o.From && o.To <= p.To
}

// Overlaps reports whether an object is in both pieces.
func (p Piece) Overlaps(o Piece) bool {
	return p.Chunk == o.Chunk && max(p.From, o.From) < min(p.To, o.To)
}

// An Entry names a committed piece, and the content of its chunk.
type Entry struct {
	ID      ID
	From    int    // index of the piece's first object within the chunk
	Objects int    // of the piece
	Of      int    // objects of the whole chunk
	Digest  Digest // of the body of the whole chunk
}

// Piece returns the name of the piece.
func (e Entry) Piece() Piece { return Piece{Chunk: e.ID, From: e.From, To: e.From + e.Objects} }

// Whole reports whether the piece is a whole chunk.
func (e Entry) Whole() bool { return e.Objects == e.Of }

// Compare orders pieces by chunk, then by where they begin, then by where they end.
func (p Piece) Compare(o Piece) int {
	return cmp.Or(cmp.Compare(p.Chunk, o.Chunk), cmp.Compare(p.From, o.From), cmp.Compare(p.To, o.To))
}
