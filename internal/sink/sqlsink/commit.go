package sqlsink

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/chunkline/chunkline/internal/sink"
)

// Commit stores a group in one transaction, as saver.Sink says.
func (s *Sink) Commit(ctx context.Context, results []sink.Result) ([]sink.Outcome, error) {
	if err := checkAll(results); err != nil {
		return nil, err
	}
	var outcomes []sink.Outcome
	var stored []sink.Result
	err := s.change(ctx, tryTimeout, func(ctx context.Context, t *tx, now *state) error {
		if now.claims.Plan == nil {
			return sink.ErrUnclaimed
		}
		if len(results) == 0 {
			return nil
		}
		d, err := s.newDecider(ctx, t, now.claims, results)
		if err != nil {
			return err
		}
		outcomes, stored = make([]sink.Outcome, len(results)), slices.Clone(results)
		var fresh []*sink.Result
		for i := range results {
			outcomes[i] = d.outcome(i, &results[i])
			if outcomes[i] == sink.Committed {
				fresh = append(fresh, &stored[i])
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		now.claims = d.claims
		now.totals.Chunks += d.completed()
		return s.write(ctx, t, now, fresh)
	})
	if err != nil {
		return nil, err
	}
	copy(results, stored)
	return outcomes, nil
}

// checkAll refuses results that no caller may give, and numbers that the columns have no room for.
func checkAll(results []sink.Result) error {
	if err := sink.CheckResults(results); err != nil {
		return err
	}
	for _, r := range results {
		if r.Chunk > math.MaxInt64 || r.First > math.MaxInt64-uint64(r.Objects) {
			return fmt.Errorf("chunk %d from object %d on: databases have numbers up to 2^63-1: %w", r.Chunk, r.First, sink.ErrInvalid)
		}
	}
	return nil
}

// write stores pieces of which nothing is there. Objects whose outputs do not fit become dead letters in results.
func (s *Sink) write(ctx context.Context, t *tx, now *state, results []*sink.Result) error {
	var objects []object
	for _, r := range results {
		for o := range objectsOf(r) {
			if len(o.outputs) > 0 {
				objects = append(objects, o)
			}
		}
	}
	refused, err := s.place(ctx, t, objects)
	if err != nil {
		return fmt.Errorf("write outputs: %w", err)
	}
	if err := deadLetter(refused); err != nil {
		return err
	}
	return s.storePieces(ctx, t, now, results)
}

// storePieces writes the rows of pieces and their dead letters, and counts them.
func (s *Sink) storePieces(ctx context.Context, t *tx, now *state, results []*sink.Result) error {
	pieces := make([][]any, 0, len(results))
	var letters [][]any
	for _, r := range results {
		record := sink.RecordOf(r)
		now.totals.Add(&record)
		pieces = append(pieces, s.pieceRow(&record, s.keep(r.Outputs)))
		own, err := s.letterRows(r)
		if err != nil {
			return err
		}
		letters = append(letters, own...)
	}
	now.finished = false
	if err := s.insertLetters(ctx, t, letters); err != nil {
		return err
	}
	if err := s.dialect.insert(ctx, t, "progress", progressNames, pieces); err != nil {
		return fmt.Errorf("write progress: %w", err)
	}
	return nil
}

var progressNames = ownTable{columns: append([]string{"job"}, pieceColumns...)}.names()

func (s *Sink) letterRows(r *sink.Result) ([][]any, error) {
	letters, err := sink.Letters(r.Dead)
	rows := make([][]any, len(letters))
	for i, l := range letters {
		rows[i] = []any{s.job, int64(r.Chunk), int64(l.Ordinal), string(l.Line)}
	}
	return rows, err
}

func (s *Sink) insertLetters(ctx context.Context, t *tx, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.dialect.insert(ctx, t, "dead_letters", []string{"job", "chunk", "ordinal", "letter"}, rows); err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	return nil
}

// keep compresses outputs whose rows are in a table of the user; nil if they are in ours.
func (s *Sink) keep(outputs []byte) []byte {
	if s.table == nil {
		return nil
	}
	return zipper.EncodeAll(outputs, []byte{})
}

// Both are stateless in the way they are used here.
var (
	zipper, _   = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	unzipper, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
)
