package sink

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A View has the methods of a sink that read committed pieces, for kinds that keep a Table.
type View struct {
	name string // of the sink, for errors
	of   TableOwner
}

// A TableOwner is a sink that keeps a Table. Its methods may be called from several goroutines.
type TableOwner interface {
	// Locked calls do while the table does not change.
	Locked(ctx context.Context, do func(*Table)) error
	// RecordAt reads the record of a piece. A replaced record remains readable.
	RecordAt(p Placed) (Record, error)
	// Outputs checks the output lines of a piece and appends them to b.
	Outputs(b []byte, r Record) ([]byte, error)
	// DeadLetters checks the dead letters of a piece and appends them to b.
	DeadLetters(b []byte, r Record) ([]byte, error)
}

// ViewOf returns the view of a sink whose errors call it name.
func ViewOf(name string, of TableOwner) View { return View{name, of} }

// pageRecords is how many records are looked up at a time. Commits may run between two pages.
const pageRecords = 1024

// List implements saver.Sink.
func (v *View) List(ctx context.Context, from chunk.ID, limit int) ([]Entry, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	last := chunk.ID(math.MaxUint64)
	if span := chunk.ID(limit - 1); from <= last-span {
		last = from + span
	}
	var entries []Entry
	err := v.of.Locked(ctx, func(t *Table) {
		for p := range t.From(from) {
			if p.ID > last {
				break
			}
			entries = append(entries, p.Entry)
		}
	})
	return entries, err
}

// Has implements saver.Sink.
func (v *View) Has(ctx context.Context, ids []chunk.ID) ([]Entry, error) {
	entries := make([]Entry, 0, len(ids))
	err := v.of.Locked(ctx, func(t *Table) {
		for _, id := range ids {
			for p := range t.Pieces(id) {
				entries = append(entries, p.Entry)
			}
		}
	})
	return entries, err
}

// Look implements saver.Sink.
func (v *View) Look(ctx context.Context, id chunk.ID) ([]Result, error) {
	var pieces []Placed
	if err := v.of.Locked(ctx, func(t *Table) { pieces = slices.Collect(t.Pieces(id)) }); err != nil {
		return nil, err
	}
	if len(pieces) == 0 {
		return nil, fmt.Errorf("%s: chunk %d: %w", v.name, id, ErrNoChunk)
	}
	results := make([]Result, 0, len(pieces))
	for _, p := range pieces {
		r, err := v.of.RecordAt(p)
		if err != nil {
			return nil, err
		}
		result, err := ReadResult(r, v.of.Outputs, v.of.DeadLetters)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

// ReadResult reads the result of a record, with its bodies.
func ReadResult(r Record, outputs, dead func([]byte, Record) ([]byte, error)) (result Result, err error) {
	result = r.Result()
	if result.Outputs, err = outputs(nil, r); err == nil {
		result.Dead, err = dead(nil, r)
	}
	return result, err
}

// Records yields the committed pieces by ascending ID, then From. It holds no lock while the caller works, so it may
// miss pieces that are committed meanwhile. After an error it ends.
func (v *View) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		page := make([]Placed, 0, pageRecords)
		for last := (Entry{From: -1}); ; last = page[len(page)-1].Entry {
			page = page[:0]
			err := v.of.Locked(ctx, func(t *Table) {
				for p := range t.From(last.ID) {
					if p.ID == last.ID && p.From <= last.From {
						continue
					}
					if page = append(page, p); len(page) == pageRecords {
						break
					}
				}
			})
			for _, p := range page {
				r, err := v.of.RecordAt(p)
				if !yield(r, err) || err != nil {
					return
				}
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			if len(page) < pageRecords {
				return
			}
		}
	}
}

// EachOutput calls do with each output, in order, without its line feed. It adds the object to an error of do.
func (v *View) EachOutput(ctx context.Context, do func(line []byte) error) error {
	var lines []byte
	for r, err := range v.Records(ctx) {
		if err != nil {
			return err
		}
		if lines, err = v.of.Outputs(lines[:0], r); err != nil {
			return err
		}
		if err := r.EachOutput(lines, do); err != nil {
			return err
		}
	}
	return nil
}

// CheckComplete returns an error that names the first gap, unless the committed pieces are those of a complete job.
// have is what the sink holds.
func (v *View) CheckComplete(ctx context.Context, chunks, objects uint64, have Totals) error {
	gaps := Gaps{Chunks: chunks, Objects: objects, Have: have}
	for r, err := range v.Records(ctx) {
		if err != nil {
			return err
		}
		if err := gaps.Next(&r); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	if err := gaps.End(); err != nil {
		return fmt.Errorf("%s: %w", v.name, err)
	}
	return nil
}

// DeadRead bounds the bytes read of one chunk's dead letters: an object may have 64 MiB, and a person only needs to see
// its beginning.
const DeadRead = 4 << 20

// DeadBelow implements saver.Sink.
func (v *View) DeadBelow(ctx context.Context, below chunk.ID, limit int) (lines []byte, next chunk.ID, err error) {
	var found []Placed
	err = v.of.Locked(ctx, func(t *Table) {
		for p := range t.Below(below) {
			if !p.At.dead() {
				continue
			}
			enough := len(found) >= limit && (len(found) == 0 || p.ID != found[len(found)-1].ID)
			if found = append(found, p); enough {
				break // this piece only shows that there are more
			}
		}
	})
	if err != nil {
		return nil, 0, err
	}
	letters, left := 0, int64(0)
	for i, p := range found {
		if i == 0 || p.ID != found[i-1].ID {
			if letters >= limit {
				return lines, next, nil
			}
			left = DeadRead
		}
		r, err := v.of.RecordAt(p)
		if err == nil {
			lines, err = v.shownDead(lines, r, &left)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read dead letters of chunk %d: %w", p.ID, err)
		}
		letters += r.DeadCount
		next = p.ID
	}
	return lines, 0, nil
}

// shownDead appends a piece's dead letters. If they exceed what may still be read of the chunk, it appends one
// placeholder.
func (v *View) shownDead(lines []byte, r Record, left *int64) ([]byte, error) {
	if r.Dead.Length <= *left {
		*left -= r.Dead.Length
		return v.of.DeadLetters(lines, r)
	}
	return AppendNotShown(lines, &r), nil
}

// AppendNotShown appends a line that stands for the dead letters of a record, which exceed DeadRead.
func AppendNotShown(lines []byte, r *Record) []byte {
	return chunk.DeadLetter{
		Ordinal: r.First, Chunk: r.Chunk, Attempts: r.Attempt, Mapper: r.Mapper, Version: r.Version,
		Error: fmt.Sprintf("%d dead letters of %d bytes, too large to show here: chunkline dead list prints them", r.DeadCount, r.Dead.Length),
	}.Append(lines)
}
