package sink

import (
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Gaps checks that committed pieces, given by ascending ID, then From, are those of a complete job. Its errors are
// ErrIncomplete and name the first gap.
type Gaps struct {
	Chunks, Objects uint64 // of the job
	Have            Totals // of the sink, for errors

	chunk    chunk.ID // expected chunk of the next piece
	have, of int      // objects of chunk, if some are there
	ordinal  uint64   // expected ordinal of the next piece
}

// Next checks the next piece.
func (g *Gaps) Next(r *Record) error {
	switch {
	case g.have > 0 && r.Chunk != g.chunk:
		return g.missing(g.of - g.have)
	case uint64(r.Chunk) >= g.Chunks:
		return g.found("chunk %d is beyond the end", r.Chunk)
	case r.Chunk != g.chunk:
		return g.found("chunk %d is missing", g.chunk)
	case r.From != g.have:
		return g.missing(r.From - g.have)
	case r.First != g.ordinal:
		return g.found("chunk %d begins with object %d, not %d", r.Chunk, r.begins(), g.ordinal-uint64(g.have))
	}
	g.have, g.of = g.have+r.Objects, r.Of
	g.ordinal += uint64(r.Objects)
	if g.have == g.of {
		g.chunk, g.have = g.chunk+1, 0
	}
	return nil
}

// End checks that no piece is missing at the end.
func (g *Gaps) End() error {
	switch {
	case g.have > 0:
		return g.missing(g.of - g.have)
	case uint64(g.chunk) != g.Chunks:
		return g.found("chunk %d is missing", g.chunk)
	case g.ordinal != g.Objects:
		return g.found("the chunks have %d objects", g.ordinal)
	}
	return nil
}

// missing reports missing objects of a chunk that has others.
func (g *Gaps) missing(objects int) error {
	return g.found("objects %d to %d of chunk %d are missing", g.ordinal, g.ordinal+uint64(objects)-1, g.chunk)
}

func (g *Gaps) found(format string, args ...any) error {
	return fmt.Errorf("%w: %s; it has %d of %d chunks and %d of %d objects",
		ErrIncomplete, fmt.Sprintf(format, args...), g.Have.Chunks, g.Chunks, g.Have.Objects, g.Objects)
}
