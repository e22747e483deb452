package ledger

import (
	"cmp"
	"container/heap"
	"iter"
	"maps"
	mathbits "math/bits"
	"slices"

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

// count returns how many IDs of a range are in the set.
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

// sizes is the number of objects of each chunk. Nearly all chunks have the same, so it stores only where the number
// changes.
type sizes []run

// run is consecutive chunks of the same size.
type run struct {
	first   chunk.ID
	objects int
}

// add records the size of the next chunk.
func (s *sizes) add(id chunk.ID, objects int) {
	if last := len(*s) - 1; last < 0 || (*s)[last].objects != objects {
		*s = append(*s, run{id, objects})
	}
}

// at returns the index of the run that contains a chunk.
func (s sizes) at(id chunk.ID) int {
	i, begins := slices.BinarySearchFunc(s, id, func(r run, id chunk.ID) int { return cmp.Compare(r.first, id) })
	if begins {
		return i
	}
	return i - 1
}

func (s sizes) of(id chunk.ID) int { return s[s.at(id)].objects }

// runs yields the runs within a range of chunks, each with its end.
func (s sizes) runs(from, to chunk.ID) iter.Seq2[run, chunk.ID] {
	return func(yield func(run, chunk.ID) bool) {
		for i := s.at(from); from < to; i++ {
			end := to
			if i+1 < len(s) {
				end = min(to, s[i+1].first)
			}
			if !yield(run{from, s[i].objects}, end) {
				return
			}
			from = end
		}
	}
}

// place is where a piece begins.
type place struct {
	chunk  chunk.ID
	object int
}

// places is a heap with the first place on top.
type places []place

func (s places) Len() int { return len(s) }
func (s places) Less(i, j int) bool {
	return s[i].chunk < s[j].chunk || s[i].chunk == s[j].chunk && s[i].object < s[j].object
}
func (s places) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *places) Push(x any)   { *s = append(*s, x.(place)) }
func (s *places) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

func (s *places) add(where place) { heap.Push(s, where) }
func (s *places) drop()           { heap.Pop(s) }

// maxEarly bounds the listed pieces of chunks that are not added yet. It is far more than mappers hold when a fetcher
// restarts.
const maxEarly = 1 << 16

// A Holding is a piece that a mapper holds.
type Holding struct {
	Mapper string
	Piece  chunk.Piece
}

// early is the listed pieces of chunks that are not added yet, each with the mapper that listed it last.
type early struct {
	held  map[chunk.ID]map[chunk.Piece]string
	count int
}

func (y *early) add(p chunk.Piece, mapper string) {
	of := y.held[p.Chunk]
	if _, known := of[p]; !known {
		if y.count >= maxEarly {
			return
		}
		y.count++
	}
	if of == nil {
		of = map[chunk.Piece]string{}
		y.held[p.Chunk] = of
	}
	of[p] = mapper
}

// take removes the pieces of a chunk and returns them, ascending.
func (y *early) take(id chunk.ID) []Holding {
	of := y.held[id]
	if len(of) == 0 {
		return nil
	}
	delete(y.held, id)
	y.count -= len(of)
	held := make([]Holding, 0, len(of))
	for _, p := range slices.SortedFunc(maps.Keys(of), chunk.Piece.Compare) {
		held = append(held, Holding{of[p], p})
	}
	return held
}

// maxDeparted bounds how many departed mappers are remembered. Only their delayed messages matter, so the last few
// thousand are plenty.
const maxDeparted = 4096

// departed remembers the last message number of departed mappers, so that a delayed message does not bring one back.
type departed struct {
	seq   map[string]uint64
	order []string // a ring, oldest at next
	next  int
}

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

// contains reports whether an ascending list contains v.
func contains[T ~uint64](ascending []T, v T) bool {
	_, has := slices.BinarySearch(ascending, v)
	return has
}
