package sink

import (
	"cmp"
	"iter"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A Table maps every committed piece to the position of its record. It is the part of an open sink's memory that grows.
// A chunk in one piece takes 24 bytes, a spot. The pieces of all others are in cuts; those are few, because only slow
// work and large objects come in several pieces.
type Table struct {
	pages  map[uint64]*tablePage // ID / pageSpots → page
	order  []uint64              // the keys of pages, ascending
	newest uint64                // a key, and its page: chunks arrive roughly in order
	page   *tablePage
	cuts   map[chunk.ID]*cut
}

// A Placed piece is an entry of the table.
type Placed struct {
	Entry

	At Position // 0: the piece was removed
}

// A spot is the entry of a chunk: a whole one, or inCuts.
type spot struct {
	at     Position // with the number of objects; 0: no piece of the chunk is there
	digest chunk.Digest
}

// inCuts marks the spot of a chunk that is in cuts. No frame of a chunk begins there.
const inCuts Position = 1

// A cut is a chunk in pieces, or one of more objects than a spot has room for.
type cut struct {
	of     int     // objects of the chunk
	have   int     // objects of its pieces
	pieces []shard // by ascending from; no two of them overlap
}

type shard struct {
	at      Position
	digest  chunk.Digest
	from    uint32
	objects uint32
}

// pageSpots makes a page 6 KiB, which is a size class of Go's allocator.
const pageSpots = 256

type tablePage [pageSpots]spot

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{pages: make(map[uint64]*tablePage), cuts: make(map[chunk.ID]*cut)}
}

// A Position is where a sink has the record of a piece, and what else the table knows about it. From the lowest bit:
// the place, which the sink chooses and which is at least 2; in spots the number of objects; and whether the piece has
// dead letters. The place of a folder is the byte and the part where a frame begins; it is never 0, because the log
// begins with another record.
type Position uint64

const (
	offsetBits  = 33 // 8 GiB; a part exceeds its limit by one commit at most
	partBits    = 16
	objectsBits = 14 // enough for chunk.MaxSize
	objectsAt   = PlaceBits
	deadBit     = 1 << 63

	// PlaceBits is how many bits a place has.
	PlaceBits = offsetBits + partBits
)

// PositionOf returns the position of a piece at a place.
func PositionOf(place uint64, dead bool) Position {
	if dead {
		return Position(place) | deadBit
	}
	return Position(place)
}

// Place returns the place.
func (p Position) Place() uint64 { return uint64(p & (1<<PlaceBits - 1)) }

func at(part int, offset int64) Position {
	return Position(part)<<offsetBits | Position(offset)
}

func (p Position) part() int     { return int(p >> offsetBits & (1<<partBits - 1)) }
func (p Position) offset() int64 { return int64(p & (1<<offsetBits - 1)) }
func (p Position) objects() int  { return int(p >> objectsAt & (1<<objectsBits - 1)) }
func (p Position) dead() bool    { return p&deadBit != 0 }

// spot returns the piece as a spot; false if a spot cannot represent it, because it is not a whole chunk or has too
// many objects.
func (p *Placed) spot() (spot, bool) {
	if !p.Whole() || p.Objects >= 1<<objectsBits || p.At == 0 {
		return spot{p.At, p.Digest}, false
	}
	return spot{p.At | Position(p.Objects)<<objectsAt, p.Digest}, true
}

// whole returns the piece of a spot that holds a whole chunk.
func (s spot) whole(id chunk.ID) Placed {
	n := s.at.objects()
	return Placed{Entry{ID: id, Objects: n, Of: n, Digest: s.digest}, s.at &^ ((1<<objectsBits - 1) << objectsAt)}
}

// Pieces yields the pieces of a chunk, by ascending From.
func (t *Table) Pieces(id chunk.ID) iter.Seq[Placed] {
	return func(yield func(Placed) bool) {
		if page := t.pages[uint64(id)/pageSpots]; page != nil {
			t.yield(id, page[id%pageSpots], yield)
		}
	}
}

// yield yields the pieces of the chunk with a spot.
func (t *Table) yield(id chunk.ID, s spot, yield func(Placed) bool) bool {
	if s.at != inCuts {
		return s.at == 0 || yield(s.whole(id))
	}
	c := t.cuts[id]
	for _, p := range c.pieces {
		if !yield(Placed{Entry{ID: id, From: int(p.from), Objects: int(p.objects), Of: c.of, Digest: p.digest}, p.at}) {
			return false
		}
	}
	return true
}

// Get returns the piece of a chunk that begins at an index.
func (t *Table) Get(id chunk.ID, from int) (Placed, bool) {
	for p := range t.Pieces(id) {
		if p.From == from {
			return p, true
		}
	}
	return Placed{}, false
}

// Complete reports whether all objects of a chunk are there.
func (t *Table) Complete(id chunk.ID) bool {
	page := t.pages[uint64(id)/pageSpots]
	if page == nil {
		return false
	}
	s := page[id%pageSpots]
	if s.at != inCuts {
		return s.at != 0
	}
	c := t.cuts[id]
	return c.have == c.of
}

// Set adds a piece, or replaces the one that begins at the same index.
func (t *Table) Set(p Placed) {
	s, whole := p.spot()
	if !whole {
		t.cut(p)
		s = spot{at: inCuts}
	}
	t.put(p.ID, s)
}

func (t *Table) put(id chunk.ID, s spot) {
	key := uint64(id) / pageSpots
	if t.page == nil || t.newest != key {
		page := t.pages[key]
		if page == nil {
			page = new(tablePage)
			t.pages[key] = page
			i, _ := slices.BinarySearch(t.order, key)
			t.order = slices.Insert(t.order, i, key)
		}
		t.newest, t.page = key, page
	}
	t.page[id%pageSpots] = s
}

func (t *Table) cut(p Placed) {
	c := t.cuts[p.ID]
	if c == nil {
		c = &cut{of: p.Of}
		t.cuts[p.ID] = c
	}
	fresh := shard{p.At, p.Digest, uint32(p.From), uint32(p.Objects)}
	i, there := c.find(p.From)
	if there {
		c.have -= int(c.pieces[i].objects)
		c.pieces[i] = fresh
	} else {
		c.pieces = slices.Insert(c.pieces, i, fresh)
	}
	c.have += p.Objects
}

func (c *cut) find(from int) (int, bool) {
	return slices.BinarySearchFunc(c.pieces, from, func(s shard, from int) int { return cmp.Compare(int(s.from), from) })
}

// Remove removes the piece of a chunk that begins at an index.
func (t *Table) Remove(id chunk.ID, from int) {
	page := t.pages[uint64(id)/pageSpots]
	if page == nil {
		return
	}
	if c := t.cuts[id]; c != nil {
		if i, there := c.find(from); there {
			c.have -= int(c.pieces[i].objects)
			c.pieces = slices.Delete(c.pieces, i, i+1)
		}
		if len(c.pieces) > 0 {
			return
		}
		delete(t.cuts, id)
	}
	page[id%pageSpots] = spot{}
}

// From yields the pieces of the chunks from an ID on, ascending.
func (t *Table) From(id chunk.ID) iter.Seq[Placed] {
	return func(yield func(Placed) bool) {
		first := uint64(id) / pageSpots
		i, _ := slices.BinarySearch(t.order, first)
		for _, key := range t.order[i:] {
			page := t.pages[key]
			begin := 0
			if key == first {
				begin = int(id % pageSpots)
			}
			for n := begin; n < pageSpots; n++ {
				if !t.yield(chunk.ID(key*pageSpots+uint64(n)), page[n], yield) {
					return
				}
			}
		}
	}
}

// Below yields the pieces of the chunks below an ID: the chunks descending, within each the pieces ascending.
func (t *Table) Below(id chunk.ID) iter.Seq[Placed] {
	return func(yield func(Placed) bool) {
		last := uint64(id) / pageSpots
		i, found := slices.BinarySearch(t.order, last)
		if found {
			i++
		}
		for _, key := range slices.Backward(t.order[:i]) {
			page := t.pages[key]
			end := pageSpots
			if key == last {
				end = int(id % pageSpots)
			}
			for n := end - 1; n >= 0; n-- {
				if !t.yield(chunk.ID(key*pageSpots+uint64(n)), page[n], yield) {
					return
				}
			}
		}
	}
}
