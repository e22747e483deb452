package sqlsink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/sink"
)

// scanTimeout bounds the reading of all pieces of a job.
const scanTimeout = time.Hour

// Finish checks that the job is complete, and records it. There is nothing to merge: the keys of the tables are in
// input order.
func (s *Sink) Finish(ctx context.Context, chunks, objects uint64) (sink.Summary, error) {
	begin := time.Now()
	for {
		seen, err := s.checkComplete(ctx, chunks, objects)
		if errors.Is(err, sink.ErrUnreachable) && time.Since(begin) <= patience && backoff.Sleep(ctx, mostPause/2) == nil {
			continue
		}
		if err != nil {
			return sink.Summary{}, err
		}
		done, err := s.finish(ctx, seen)
		if err != nil {
			return sink.Summary{}, err
		}
		if done {
			return s.Summary(), nil
		}
	}
}

// checkComplete returns the job's state from before it read the pieces, or an error that names the first gap. It locks
// nothing, so that commits go on while it reads millions of rows: a mapper may send a result again.
func (s *Sink) checkComplete(ctx context.Context, chunks, objects uint64) (*state, error) {
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	now := s.state.Load()
	switch {
	case now.claims.Plan == nil:
		return nil, fmt.Errorf("sink %s: %w", s.at, sink.ErrUnclaimed)
	case now.finished && now.totals.Chunks == chunks && now.totals.Objects == objects:
		return now, nil // already checked, and nothing was committed since
	}
	query := s.dialect.text("SELECT chunk, start, objects, of_objects, first FROM progress WHERE job = $1 ORDER BY chunk, start")
	gaps := sink.Gaps{Chunks: chunks, Objects: objects, Have: now.totals}
	return now, s.readWithin(ctx, scanTimeout, "read progress", func(ctx context.Context) error {
		err := each(ctx, s.db, query, []any{s.job}, func(scan func(...any) error) error {
			var r sink.Record
			if err := scan(&r.Chunk, &r.From, &r.Objects, &r.Of, &r.First); err != nil {
				return err
			}
			return gaps.Next(&r)
		})
		if err != nil {
			return err
		}
		return gaps.End()
	})
}

// finish records that the job is complete. It does not if pieces may have been added or removed since the state that was
// seen: a commit adds objects, Redo begins an epoch, and Replace keeps the objects of a piece.
func (s *Sink) finish(ctx context.Context, seen *state) (done bool, err error) {
	err = s.change(ctx, tryTimeout, func(_ context.Context, _ *tx, now *state) error {
		done = now.claims.Epoch == seen.claims.Epoch && now.totals.Chunks == seen.totals.Chunks && now.totals.Objects == seen.totals.Objects
		if done {
			now.finished = true
		}
		return nil
	})
	return done, err
}
