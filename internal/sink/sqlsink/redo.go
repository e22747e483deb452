package sqlsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// Replace replaces the result of a committed piece by results that together have its objects, in one transaction, for
// dead letters that were retried. Objects whose outputs do not fit become dead letters again, also in results. It does
// not touch the rows of objects whose outputs stay the same. old is the record that they were made from: if the piece
// has another one by now, it stays. Errors are those of Commit, and ErrNoChunk, ErrChanged and ErrConflict, which
// change nothing.
func (s *Sink) Replace(ctx context.Context, old sink.Record, results ...sink.Result) error {
	if err := checkAll(results); err != nil {
		return err
	}
	stored := make([]sink.Result, len(results)) // outputs that do not fit become dead letters again
	var tried sink.Record                       // the first record that the last try wrote; it is in the database if the answer to that COMMIT was lost
	err := s.change(ctx, tryTimeout, func(ctx context.Context, t *tx, now *state) error {
		records, err := s.records(ctx, t, "chunk = $2 AND start = $3", int64(old.Chunk), old.From)
		if err != nil {
			return err
		}
		var there *sink.Record
		if len(records) > 0 {
			there = &records[0]
		}
		if there != nil && reflect.DeepEqual(*there, tried) {
			return nil
		}
		if now.claims, err = now.claims.Replace(there, &old, results); err != nil {
			return err
		}
		copy(stored, results)
		err = s.removing(ctx, t, func() error { return s.replace(ctx, t, now, there, stored) })
		tried = sink.RecordOf(&stored[0])
		return err
	})
	if err == nil {
		copy(results, stored)
	}
	return err
}

func (s *Sink) replace(ctx context.Context, t *tx, now *state, old *sink.Record, results []sink.Result) error {
	was, err := s.committed(ctx, t, old)
	if err != nil {
		return err
	}
	var gone, come []object
	before := slices.Collect(objectsOf(&was))
	pieces := make([]*sink.Result, len(results))
	for i := range results {
		pieces[i] = &results[i]
		for o := range objectsOf(pieces[i]) {
			was := before[o.ordinal()-old.First]
			if slices.EqualFunc(was.outputs, o.outputs, bytes.Equal) {
				continue
			}
			if len(was.outputs) > 0 {
				gone = append(gone, was)
			}
			if len(o.outputs) > 0 {
				come = append(come, o)
			}
		}
	}
	if err := s.take(ctx, t, gone); err != nil {
		return err
	}
	if err := s.removePiece(ctx, t, now, old); err != nil {
		return err
	}
	refused, err := s.place(ctx, t, come)
	if err != nil {
		return fmt.Errorf("write outputs: %w", err)
	}
	if err := deadLetter(refused); err != nil {
		return err
	}
	return s.storePieces(ctx, t, now, pieces)
}

// committed returns the result of a committed piece.
func (s *Sink) committed(ctx context.Context, t *tx, r *sink.Record) (result sink.Result, err error) {
	result = r.Result()
	if result.Outputs, err = s.outputs(ctx, t, nil, r); err != nil {
		return result, fmt.Errorf("read outputs of chunk %d: %w", r.Chunk, err)
	}
	return result, nil
}

// removePiece removes the row of a piece, and its dead letters.
func (s *Sink) removePiece(ctx context.Context, t *tx, now *state, r *sink.Record) error {
	_, err := t.exec(ctx, "DELETE FROM progress WHERE job = $1 AND chunk = $2 AND start = $3", s.job, int64(r.Chunk), r.From)
	if err == nil && r.DeadCount > 0 {
		_, err = t.exec(ctx, "DELETE FROM dead_letters WHERE job = $1 AND chunk = $2 AND ordinal >= $3 AND ordinal < $4",
			s.job, int64(r.Chunk), int64(r.First), int64(r.First)+int64(r.Objects))
	}
	if err != nil {
		return fmt.Errorf("remove chunk %d: %w", r.Chunk, err)
	}
	now.totals.Remove(r.Totals())
	return nil
}

// Redo removes the results of a mapper version in one transaction, so that the job's next fetcher has their chunks
// mapped again. Like the folder's Redo, it gives the job a new epoch and fences the version. If there is nothing to
// remove, nothing changes. Errors are those of Commit, and ErrSettings if rows in the user's table cannot be
// identified.
func (s *Sink) Redo(ctx context.Context, name string) (sink.Redone, error) {
	var done sink.Redone
	fence := "" // name of the fetcher with which the last try fenced the job; it is in the database if the answer to that COMMIT was lost
	err := s.change(ctx, 0, func(ctx context.Context, t *tx, now *state) error {
		if _, made, err := s.claimant(ctx, t, fence); err != nil || made {
			return err
		}
		done = sink.Redone{}
		before := now.totals
		bad, err := s.records(ctx, t, "version = $2 ORDER BY chunk, start", name)
		if err != nil || len(bad) == 0 {
			return err
		}
		complete, err := s.completeChunks(ctx, t, bad)
		if err != nil {
			return err
		}
		err = s.removing(ctx, t, func() error {
			for i := range bad {
				if err := s.removeResult(ctx, t, now, &bad[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, r := range bad {
			if i == 0 || bad[i-1].Chunk != r.Chunk {
				done.Chunks++
				if complete[r.Chunk] {
					now.totals.Chunks--
				}
			}
		}
		done.Objects, done.Outputs, done.Dead = before.Objects-now.totals.Objects, before.Outputs-now.totals.Outputs, before.Dead-now.totals.Dead
		now.finished = false
		now.claims = now.claims.Redo(name)
		fence = now.claims.Claimants[len(now.claims.Claimants)-1].Fetcher
		return nil
	})
	return done, err
}

// removeResult removes the outputs, the row and the dead letters of a piece.
func (s *Sink) removeResult(ctx context.Context, t *tx, now *state, r *sink.Record) error {
	was := r.Result()
	if s.table != nil { // the key of a row is in the output
		var err error
		if was, err = s.committed(ctx, t, r); err != nil {
			return err
		}
	}
	if err := s.take(ctx, t, slices.Collect(objectsOf(&was))); err != nil {
		return err
	}
	return s.removePiece(ctx, t, now, r)
}

// take removes the outputs of objects from their table, except where the next outputs replace them.
func (s *Sink) take(ctx context.Context, t *tx, objects []object) error {
	if s.table == nil {
		return s.placer.take(ctx, t, objects)
	}
	for _, o := range objects {
		if err := s.table.canTake(o); err != nil {
			return err
		}
	}
	if s.table.mode == modeUpsert || len(objects) == 0 {
		return nil
	}
	return s.placer.take(ctx, t, objects)
}

// errKept means that the database refuses to remove rows of the user's table.
var errKept = errors.New("nothing was changed")

// removing runs do, which removes rows of the user's table, and then checks deferred constraints. It returns errKept if
// a foreign key refers to the rows, or a trigger refuses.
func (s *Sink) removing(ctx context.Context, t *tx, do func() error) error {
	err := t.within(ctx, do)
	if err == nil || s.table == nil || s.dialect.classify(err) != misfit {
		return err
	}
	reason, hint := s.dialect.reason(err), ""
	if s.dialect.lacksRow(err) {
		keys, err := s.dialect.foreignKeysTo(ctx, t, s.table.name)
		if err != nil {
			return fmt.Errorf("read foreign keys to table %s: %w", s.table.name, err)
		}
		reason += keys
		hint = "; first delete the rows that refer to them, or declare the foreign key ON DELETE CASCADE, or use another job with mode=upsert, whose outputs replace the rows"
	}
	return fmt.Errorf("remove rows of table %s: %s: %w%s", s.table.name, reason, errKept, hint)
}

// completeChunks returns the chunks of records that are complete.
func (s *Sink) completeChunks(ctx context.Context, t *tx, records []sink.Record) (map[chunk.ID]bool, error) {
	ids := make([]uint64, len(records))
	for i := range records {
		ids[i] = uint64(records[i].Chunk)
	}
	query := s.dialect.text("SELECT chunk FROM progress WHERE job = $1 AND " + s.dialect.inList("chunk", "$2") + " GROUP BY chunk HAVING SUM(objects) = MIN(of_objects)")
	complete := map[chunk.ID]bool{}
	err := each(ctx, t, query, []any{s.job, numbers(ids)}, func(scan func(...any) error) error {
		var id chunk.ID
		err := scan(&id)
		complete[id] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	return complete, nil
}
