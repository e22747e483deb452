package sqlsink

import (
	"context"
	"fmt"

	"github.com/chunkline/chunkline/internal/sink"
)

// Finish checks that the job is complete, and records it. There is nothing to merge: the keys of the tables are in input
// order.
func (s *Sink) Finish(ctx context.Context, chunks, objects uint64) (sink.Summary, error) {
	err := s.change(ctx, 0, func(ctx context.Context, t *tx, now *state) error {
		switch {
		case now.claims.Plan == nil:
			return sink.ErrUnclaimed
		case now.finished && now.totals.Chunks == chunks && now.totals.Objects == objects:
			return nil // already checked, and nothing was committed since
		}
		if err := s.checkComplete(ctx, t, now, chunks, objects); err != nil {
			return err
		}
		now.finished = true
		return nil
	})
	if err != nil {
		return sink.Summary{}, err
	}
	return s.Summary(), nil
}

// checkComplete returns an error that names the first gap.
func (s *Sink) checkComplete(ctx context.Context, t *tx, now *state, chunks, objects uint64) error {
	query := s.dialect.text("SELECT chunk, start, objects, of_objects, first FROM progress WHERE job = $1 ORDER BY chunk, start")
	gaps := sink.Gaps{Chunks: chunks, Objects: objects, Have: now.totals}
	err := each(ctx, t, query, []any{s.job}, func(scan func(...any) error) error {
		var r sink.Record
		if err := scan(&r.Chunk, &r.From, &r.Objects, &r.Of, &r.First); err != nil {
			return fmt.Errorf("read progress: %w", err)
		}
		return gaps.Next(&r)
	})
	if err != nil {
		return err
	}
	return gaps.End()
}
