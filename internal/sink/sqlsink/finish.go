package sqlsink

import (
	"context"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// Finish checks that the job is complete, and records it. There is nothing to merge: the keys of the tables are in input
// order.
func (s *Sink) Finish(ctx context.Context, chunks, objects uint64) (sink.Summary, error) {
	err := s.change(ctx, 0, func(ctx context.Context, t *tx, now *state) (bool, error) {
		switch {
		case now.plan == nil:
			return false, sink.ErrUnclaimed
		case now.finished && now.totals.chunks == chunks && now.totals.objects == objects:
			return false, nil // already checked, and nothing was committed since
		}
		if err := s.checkComplete(ctx, t, now, chunks, objects); err != nil {
			return false, err
		}
		now.finished = true
		return true, nil
	})
	if err != nil {
		return sink.Summary{}, err
	}
	return s.Summary(), nil
}

// checkComplete returns an error that names the first gap.
func (s *Sink) checkComplete(ctx context.Context, t *tx, now *state, chunks, objects uint64) error {
	rows, err := t.QueryContext(ctx, s.dialect.text("SELECT chunk, start, objects, of_objects, first FROM progress WHERE job = $1 ORDER BY chunk, start"), s.job)
	if err != nil {
		return fmt.Errorf("read progress: %w", err)
	}
	g := gaps{
		chunks: chunks,
		found: func(format string, args ...any) error {
			return fmt.Errorf("%w: %s; it has %d of %d chunks and %d of %d objects",
				sink.ErrIncomplete, fmt.Sprintf(format, args...), now.totals.chunks, chunks, now.totals.objects, objects)
		},
	}
	err = each(rows, func() error {
		var r sink.Record
		if err := rows.Scan(&r.Chunk, &r.From, &r.Objects, &r.Of, &r.First); err != nil {
			return err
		}
		return g.next(&r)
	})
	if err != nil {
		return err
	}
	return g.end(objects)
}

// gaps checks pieces in order.
type gaps struct {
	chunks   uint64 // in the job
	found    func(format string, args ...any) error
	chunk    chunk.ID // expected chunk of the next piece
	have, of int      // objects of chunk, if some are there
	ordinal  uint64   // expected ordinal of the next piece
}

func (g *gaps) next(r *sink.Record) error {
	switch {
	case g.have > 0 && r.Chunk != g.chunk:
		return g.missing(g.of - g.have)
	case uint64(r.Chunk) >= g.chunks:
		return g.found("chunk %d is beyond the end", r.Chunk)
	case r.Chunk != g.chunk:
		return g.found("chunk %d is missing", g.chunk)
	case r.From != g.have:
		return g.missing(r.From - g.have)
	case r.First != g.ordinal:
		return g.found("chunk %d begins with object %d, not %d", r.Chunk, r.First-uint64(r.From), g.ordinal-uint64(g.have))
	}
	g.have, g.of = g.have+r.Objects, r.Of
	g.ordinal += uint64(r.Objects)
	if g.have == g.of {
		g.chunk, g.have = g.chunk+1, 0
	}
	return nil
}

func (g *gaps) end(objects uint64) error {
	switch {
	case g.have > 0:
		return g.missing(g.of - g.have)
	case uint64(g.chunk) != g.chunks:
		return g.found("chunk %d is missing", g.chunk)
	case g.ordinal != objects:
		return g.found("the chunks have %d objects", g.ordinal)
	}
	return nil
}

// missing reports missing objects of a chunk that has others.
func (g *gaps) missing(objects int) error {
	return g.found("objects %d to %d of chunk %d are missing", g.ordinal, g.ordinal+uint64(objects)-1, g.chunk)
}
