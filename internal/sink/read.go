package sink

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// pageRecords is how many records are looked up at a time. Commits may run between two pages.
const pageRecords = 1024

// List implements saver.Sink.
func (f *Folder) List(ctx context.Context, from chunk.ID, limit int) ([]Entry, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	last := chunk.ID(math.MaxUint64)
	if span := chunk.ID(limit - 1); from <= last-span {
		last = from + span
	}
	var entries []Entry
	err := f.look(ctx, func() {
		for p := range f.table.from(from) {
			if p.ID > last {
				break
			}
			entries = append(entries, p.Entry)
		}
	})
	return entries, err
}

// Has implements saver.Sink.
func (f *Folder) Has(ctx context.Context, ids []chunk.ID) ([]Entry, error) {
	entries := make([]Entry, 0, len(ids))
	err := f.look(ctx, func() {
		for _, id := range ids {
			for p := range f.table.pieces(id) {
				entries = append(entries, p.Entry)
			}
		}
	})
	return entries, err
}

// Look implements saver.Sink.
func (f *Folder) Look(ctx context.Context, id chunk.ID) ([]Result, error) {
	var pieces []placed
	if err := f.look(ctx, func() { pieces = slices.Collect(f.table.pieces(id)) }); err != nil {
		return nil, err
	}
	if len(pieces) == 0 {
		return nil, fmt.Errorf("sink folder %s: chunk %d: %w", f.dir, id, ErrNoChunk)
	}
	results := make([]Result, 0, len(pieces))
	for _, p := range pieces {
		r, err := f.result(p)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

// result reads a piece with its bodies.
func (f *Folder) result(p placed) (Result, error) {
	r, err := f.recordAt(p)
	if err != nil {
		return Result{}, err
	}
	result := Result{
		Chunk: r.Chunk, From: r.From, Of: r.Of, First: r.First, Objects: r.Objects, Digest: r.Digest, Counts: r.Counts,
		DeadCount: r.DeadCount, Attempt: r.Attempt, Mapper: r.Mapper, Version: r.Version,
	}
	if result.Outputs, err = f.Outputs(nil, r); err == nil {
		result.Dead, err = f.DeadLetters(nil, r)
	}
	return result, err
}

// Records yields the committed pieces by ascending ID, then From. It holds no lock while the caller works, so it may miss
// pieces that are committed meanwhile. After an error it ends.
func (f *Folder) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		page := make([]placed, 0, pageRecords)
		for last := (Entry{From: -1}); ; last = page[len(page)-1].Entry {
			page = page[:0]
			err := f.look(ctx, func() {
				for p := range f.table.from(last.ID) {
					if p.ID == last.ID && p.From <= last.From {
						continue
					}
					if page = append(page, p); len(page) == pageRecords {
						break
					}
				}
			})
			for _, p := range page {
				r, err := f.recordAt(p)
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

// recordAt reads the record of a piece. A replaced record remains readable.
func (f *Folder) recordAt(of placed) (r Record, err error) {
	err = f.body(func(p *partReader) error { r, err = p.record(of); return err })
	return r, err
}

// Outputs checks the output lines of a piece and appends them to b.
func (f *Folder) Outputs(b []byte, r Record) ([]byte, error) {
	err := f.body(func(p *partReader) (err error) { b, err = p.append(b, r.Outputs, &r); return err })
	return b, err
}

// DeadLetters checks the dead letters of a piece and appends them to b.
func (f *Folder) DeadLetters(b []byte, r Record) ([]byte, error) {
	err := f.body(func(p *partReader) (err error) { b, err = p.append(b, r.Dead, &r); return err })
	return b, err
}

// CopyOutputs writes the output lines of a piece to w, in constant memory. After an error the bytes written may be wrong.
func (f *Folder) CopyOutputs(w io.Writer, r Record) error {
	return f.body(func(p *partReader) error { return p.copy(w, r.Outputs, &r) })
}

// body reads from the log. Damage does not break the folder, so verify can go on to the next chunk.
func (f *Folder) body(do func(*partReader) error) error {
	f.reading.Lock()
	defer f.reading.Unlock()
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return do(f.reader)
}

// look calls do with the table locked.
func (f *Folder) look(ctx context.Context, do func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	do()
	return nil
}
