package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

const (
	// pageRecords is how many records are read at a time.
	pageRecords = 1024

	// readTimeout bounds a read.
	readTimeout = 2 * time.Minute
)

// List implements saver.Sink.
func (s *Sink) List(ctx context.Context, from chunk.ID, limit int) ([]sink.Entry, error) {
	if limit <= 0 || from > math.MaxInt64 {
		return nil, s.read(ctx, "list pieces", func(context.Context) error { return nil })
	}
	last := chunk.ID(math.MaxInt64)
	if span := chunk.ID(limit - 1); from <= last-span {
		last = from + span
	}
	var entries []sink.Entry
	err := s.entries(ctx, "chunk BETWEEN $2 AND $3", func(e sink.Entry) { entries = append(entries, e) }, int64(from), int64(last))
	return entries, err
}

// Has implements saver.Sink.
func (s *Sink) Has(ctx context.Context, ids []chunk.ID) ([]sink.Entry, error) {
	asked := make([]uint64, 0, len(ids))
	for _, id := range ids {
		if id <= math.MaxInt64 {
			asked = append(asked, uint64(id))
		}
	}
	there := map[chunk.ID][]sink.Entry{}
	err := s.entries(ctx, s.dialect.inList("chunk", "$2"), func(e sink.Entry) { there[e.ID] = append(there[e.ID], e) }, numbers(asked))
	entries := make([]sink.Entry, 0, len(ids))
	for _, id := range ids {
		entries = append(entries, there[id]...)
	}
	return entries, err
}

// entries calls told with each piece that meets a condition, by ascending ID, then From. If it returns nil, the pieces
// are as durable as answered commits: the fetcher never hands out a listed piece again.
func (s *Sink) entries(ctx context.Context, condition string, told func(sink.Entry), args ...any) error {
	listed := false
	err := s.read(ctx, "list pieces", func(ctx context.Context) error {
		query := "SELECT chunk, start, objects, of_objects, digest FROM progress WHERE job = $1 AND " + condition + " ORDER BY chunk, start"
		return each(ctx, s.db, s.dialect.text(query), append([]any{s.job}, args...), func(scan func(...any) error) error {
			var e sink.Entry
			var digest []byte
			err := scan(&e.ID, &e.From, &e.Objects, &e.Of, &digest)
			copy(e.Digest[:], digest)
			if err == nil {
				listed = true
				told(e)
			}
			return err
		})
	})
	if err != nil || !listed {
		return err
	}
	return s.readWithin(ctx, tryTimeout, "wait for a standby", func(ctx context.Context) error { return s.dialect.awaitReplication(ctx, s.db) })
}

// Look returns the committed pieces of a chunk, or ErrNoChunk.
func (s *Sink) Look(ctx context.Context, id chunk.ID) ([]sink.Result, error) {
	var records []sink.Record
	err := s.read(ctx, "look at chunk", func(ctx context.Context) (err error) {
		records, err = s.records(ctx, s.db, "chunk = $2 ORDER BY start", int64(min(id, math.MaxInt64)))
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("sink %s: chunk %d: %w", s.at, id, sink.ErrNoChunk)
	}
	var results []sink.Result
	for _, r := range records {
		result, err := sink.ReadResult(r, s.Outputs, s.DeadLetters)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

// records reads the records that meet a condition.
func (s *Sink) records(ctx context.Context, from querier, condition string, args ...any) ([]sink.Record, error) {
	query := s.dialect.text("SELECT " + recordColumns + " FROM progress WHERE job = $1 AND " + condition)
	var records []sink.Record
	err := each(ctx, from, query, append([]any{s.job}, args...), func(scan func(...any) error) error {
		r, err := scanRecord(scan)
		records = append(records, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	return records, nil
}

// Records yields the committed pieces by ascending ID, then From. It may miss pieces that are committed meanwhile.
// After an error it ends.
func (s *Sink) Records(ctx context.Context) iter.Seq2[sink.Record, error] {
	return func(yield func(sink.Record, error) bool) {
		last, start := int64(-1), 0
		for {
			var page []sink.Record
			err := s.read(ctx, "read progress", func(ctx context.Context) (err error) {
				page, err = s.records(ctx, s.db, fmt.Sprintf("(chunk, start) > ($2, $3) ORDER BY chunk, start LIMIT %d", pageRecords), last, start)
				return err
			})
			if err != nil {
				yield(sink.Record{}, err)
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
				last, start = int64(r.Chunk), r.From
			}
			if len(page) < pageRecords {
				return
			}
		}
	}
}

// Outputs checks the output lines of a piece and appends them to b.
func (s *Sink) Outputs(b []byte, r sink.Record) ([]byte, error) {
	return s.body(b, &r, "read outputs", s.outputs)
}

// DeadLetters checks the dead letters of a piece and appends them to b.
func (s *Sink) DeadLetters(b []byte, r sink.Record) ([]byte, error) {
	if r.DeadCount == 0 {
		return b, nil
	}
	return s.body(b, &r, "read dead letters", s.deadLetters)
}

// body reads a body of a piece. If its rows are not those of the record, the piece may have been changed since the
// record was read.
func (s *Sink) body(b []byte, r *sink.Record, what string, read func(context.Context, querier, []byte, *sink.Record) ([]byte, error)) ([]byte, error) {
	begin := len(b)
	err := s.read(context.Background(), what, func(ctx context.Context) (err error) {
		b, err = read(ctx, s.db, b[:begin], r)
		if !errors.Is(err, sink.ErrDamaged) {
			return err
		}
		now, e := s.records(ctx, s.db, "chunk = $2 AND start = $3", int64(r.Chunk), r.From)
		if e == nil && (len(now) == 0 || now[0].Outputs != r.Outputs || now[0].Dead != r.Dead) {
			return fmt.Errorf("chunk %d: %w", r.Chunk, sink.ErrChanged)
		}
		return err
	})
	return b, err
}

func (s *Sink) outputs(ctx context.Context, from querier, b []byte, r *sink.Record) ([]byte, error) {
	begin, where := len(b), "outputs"
	var err error
	if s.table == nil {
		b, err = s.lines(ctx, from, b, "SELECT value FROM outputs WHERE job = $1 AND ordinal >= $2 AND ordinal < $3 ORDER BY ordinal, part", r)
	} else {
		where = "progress"
		var kept []byte
		query := "SELECT kept FROM progress WHERE job = $1 AND chunk = $2 AND start = $3"
		err = from.QueryRowContext(ctx, s.dialect.text(query), s.job, int64(r.Chunk), r.From).Scan(&kept)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return b, err
		}
		b, err = unzipper.DecodeAll(kept, b)
		if err != nil {
			return b, s.damaged(r, where)
		}
	}
	if err == nil && !r.Outputs.Matches(b[begin:]) {
		err = s.damaged(r, where)
	}
	return b, err
}

func (s *Sink) deadLetters(ctx context.Context, from querier, b []byte, r *sink.Record) ([]byte, error) {
	begin := len(b)
	b, err := s.lines(ctx, from, b, fmt.Sprintf("SELECT letter FROM dead_letters WHERE job = $1 AND chunk = %d AND ordinal >= $2 AND ordinal < $3 ORDER BY ordinal", r.Chunk), r)
	if err == nil && !r.Dead.Matches(b[begin:]) {
		err = s.damaged(r, "dead_letters")
	}
	return b, err
}

// lines appends the lines that a query returns for the ordinals of a piece.
func (s *Sink) lines(ctx context.Context, from querier, b []byte, query string, r *sink.Record) ([]byte, error) {
	return s.appendLines(ctx, from, b, query, s.job, int64(r.First), int64(r.First)+int64(r.Objects))
}

// appendLines appends the only column of each row that a query returns, each followed by a line feed.
func (s *Sink) appendLines(ctx context.Context, from querier, b []byte, query string, args ...any) ([]byte, error) {
	var line sql.RawBytes
	err := each(ctx, from, s.dialect.text(query), args, func(scan func(...any) error) error {
		err := scan(&line)
		b = append(append(b, line...), '\n')
		return err
	})
	return b, err
}

// damaged returns the error for rows that differ from the committed ones.
func (s *Sink) damaged(r *sink.Record, table string) error {
	return &sink.DamageError{File: s.where(table), Offset: -1, Chunk: r.Chunk, Known: true, What: "its rows are not those that were committed"}
}

// DeadBelow implements saver.Sink.
func (s *Sink) DeadBelow(ctx context.Context, below chunk.ID, limit int) (lines []byte, next chunk.ID, err error) {
	err = s.read(ctx, "read dead letters", func(ctx context.Context) error {
		lines, next, err = s.deadBelow(ctx, below, limit)
		return err
	})
	return lines, next, err
}

func (s *Sink) deadBelow(ctx context.Context, below chunk.ID, limit int) (lines []byte, next chunk.ID, err error) {
	query := s.dialect.text(`SELECT chunk, MIN(first), SUM(dead), SUM(dead_bytes) FROM progress
		WHERE job = $1 AND chunk < $2 AND dead > 0 GROUP BY chunk ORDER BY chunk DESC LIMIT $3`)
	var found []sink.Record // chunks as records: Chunk, First and the sums
	err = each(ctx, s.db, query, []any{s.job, int64(min(below, math.MaxInt64)), limit + 1}, func(scan func(...any) error) error {
		var r sink.Record
		err := scan(&r.Chunk, &r.First, &r.DeadCount, &r.Dead.Length)
		found = append(found, r)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	letters := 0
	for _, c := range found {
		if letters >= limit {
			return lines, next, nil
		}
		if c.Dead.Length > sink.DeadRead {
			lines = sink.AppendNotShown(lines, &c)
		} else if lines, err = s.appendLines(ctx, s.db, lines, "SELECT letter FROM dead_letters WHERE job = $1 AND chunk = $2 ORDER BY ordinal", s.job, int64(c.Chunk)); err != nil {
			return nil, 0, err
		}
		letters += c.DeadCount
		next = c.Chunk
	}
	return lines, 0, nil
}
