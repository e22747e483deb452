package sim

import (
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// pieces holds the committed pieces of each chunk, ascending. No two of them overlap.
type pieces map[chunk.ID][]sink.Result

func pieceOf(r sink.Result) chunk.Piece {
	return chunk.Piece{Chunk: r.Chunk, From: r.From, To: r.From + r.Objects}
}

// shared returns how many objects two pieces have in common.
func shared(a, b chunk.Piece) int {
	if a.Chunk != b.Chunk {
		return 0
	}
	return max(0, min(a.To, b.To)-max(a.From, b.From))
}

// compare compares a result with the committed pieces of its chunk. It returns how many of its objects
// are committed, and whether those were made from different input.
func (p pieces) compare(r sink.Result) (covered int, conflict bool) {
	for _, there := range p[r.Chunk] {
		switch {
		case there.Of != r.Of, there.First-uint64(there.From) != r.First-uint64(r.From):
			return 0, true
		case pieceOf(there) == pieceOf(r) && there.Digest != r.Digest:
			return 0, true
		}
		covered += shared(pieceOf(there), pieceOf(r))
	}
	return covered, false
}

func (p pieces) add(r sink.Result) {
	p[r.Chunk] = append(p[r.Chunk], r)
	slices.SortFunc(p[r.Chunk], func(a, b sink.Result) int { return pieceOf(a).Compare(pieceOf(b)) })
}

// complete reports whether all objects of a chunk are committed.
func (p pieces) complete(id chunk.ID) bool {
	n := 0
	for _, r := range p[id] {
		n += r.Objects
	}
	return n > 0 && n == p[id][0].Of
}

// joined returns the committed pieces of a chunk as one result.
func (p pieces) joined(id chunk.ID) sink.Result {
	if len(p[id]) == 0 {
		return sink.Result{}
	}
	all := p[id][0]
	all.Outputs, all.Dead, all.Counts = slices.Clone(all.Outputs), slices.Clone(all.Dead), slices.Clone(all.Counts)
	for _, r := range p[id][1:] {
		all.Objects += r.Objects
		all.Outputs, all.Dead, all.Counts = append(all.Outputs, r.Outputs...), append(all.Dead, r.Dead...), append(all.Counts, r.Counts...)
		all.DeadCount += r.DeadCount
	}
	return all
}

func (p pieces) entries(entries []sink.Entry, id chunk.ID) []sink.Entry {
	for _, r := range p[id] {
		entries = append(entries, sink.Entry{ID: id, From: r.From, Objects: r.Objects, Of: r.Of, Digest: r.Digest})
	}
	return entries
}

// covered returns how many objects of a piece the sink holds.
func (s *Sink) covered(p chunk.Piece) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.pieces[p.Chunk] {
		n += shared(pieceOf(r), p)
	}
	return n
}

// isPartial reports whether the sink holds only a part of some chunk.
func (s *Sink) isPartial() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.pieces {
		if !s.pieces.complete(id) {
			return true
		}
	}
	return false
}
