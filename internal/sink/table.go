package sink

import (
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A table says of every committed chunk where its frame lies: 24 bytes a chunk,
// which is what the memory of an open folder grows by.
type table struct {
	pages  map[uint64]*tablePage // ID / pageSpots → page
	order  []uint64              // the keys of pages, ascending
	newest uint64                // a key, and its page: chunks come about in order
	page   *tablePage
}

// A spot is the entry of a chunk.
type spot struct {
	at     position // 0: the chunk is not there
	digest chunk.Digest
}

func (s spot) entry(id chunk.ID) Entry {
	return Entry{ID: id, Objects: s.at.objects(), Of: s.at.objects(), Digest: s.digest}
}

// pageSpots makes a page 6 KiB, which is also a size of Go's allocator.
const pageSpots = 256

type tablePage [pageSpots]spot

func newTable() *table { return &table{pages: make(map[uint64]*tablePage)} }

// A position is where a frame begins, and what else the table knows of it. From the lowest bit:
// the byte, the part, the number of objects if the frame is a whole chunk's, and whether it has
// dead letters. It is never 0 for a chunk: the log begins with another record.
type position uint64

const (
	offsetBits  = 34 // 16 GiB; a part is longer than its limit by one commit at most
	partBits    = 15
	objectsBits = 14 // more than chunk.MaxSize
	deadBit     = 1 << 63
)

func at(part int, offset int64, objects int) position {
	return position(objects)<<(offsetBits+partBits) | position(part)<<offsetBits | position(offset)
}

func (p position) part() int     { return int(p >> offsetBits & (1<<partBits - 1)) }
func (p position) offset() int64 { return int64(p & (1<<offsetBits - 1)) }
func (p position) objects() int  { return int(p >> (offsetBits + partBits) & (1<<objectsBits - 1)) }
func (p position) dead() bool    { return p&deadBit != 0 }

func (t *table) get(id chunk.ID) (spot, bool) {
	page := t.pages[uint64(id)/pageSpots]
	if page == nil {
		return spot{}, false
	}
	s := page[id%pageSpots]
	return s, s.at != 0
}

func (t *table) set(id chunk.ID, s spot) {
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

func (t *table) remove(id chunk.ID) {
	if page := t.pages[uint64(id)/pageSpots]; page != nil {
		page[id%pageSpots] = spot{}
	}
}

// from calls show for the chunks from an ID on, ascending, until it returns false.
func (t *table) from(id chunk.ID, show func(chunk.ID, spot) bool) {
	first := uint64(id) / pageSpots
	i, _ := slices.BinarySearch(t.order, first)
	for _, key := range t.order[i:] {
		page := t.pages[key]
		begin := 0
		if key == first {
			begin = int(id % pageSpots)
		}
		for n := begin; n < pageSpots; n++ {
			if page[n].at != 0 && !show(chunk.ID(key*pageSpots+uint64(n)), page[n]) {
				return
			}
		}
	}
}

// below calls show for the chunks below an ID, descending, until it returns false.
func (t *table) below(id chunk.ID, show func(chunk.ID, spot) bool) {
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
			if page[n].at != 0 && !show(chunk.ID(key*pageSpots+uint64(n)), page[n]) {
				return
			}
		}
	}
}
