package sink

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/chunkline/chunkline/internal/chunk"
)

// pageRecords is how many records are looked up at a time. Between two of these looks
// commits get their turn.
const pageRecords = 1024

// A located chunk is one of the table.
type located struct {
	id chunk.ID
	at position
}

// List returns a page of committed chunks, as Sink says.
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
		f.table.from(from, func(id chunk.ID, s spot) bool {
			if id <= last {
				entries = append(entries, s.entry(id))
			}
			return id < last
		})
	})
	return entries, err
}

// Has returns those of ids that are committed.
func (f *Folder) Has(ctx context.Context, ids []chunk.ID) ([]Entry, error) {
	entries := make([]Entry, 0, len(ids))
	err := f.look(ctx, func() {
		for _, id := range ids {
			if s, ok := f.table.get(id); ok {
				entries = append(entries, s.entry(id))
			}
		}
	})
	return entries, err
}

// Record returns the record of a chunk; ErrNoChunk if it is not committed.
func (f *Folder) Record(ctx context.Context, id chunk.ID) (Record, error) {
	var s spot
	var there bool
	if err := f.look(ctx, func() { s, there = f.table.get(id) }); err != nil {
		return Record{}, err
	}
	if !there {
		return Record{}, fmt.Errorf("sink folder %s: chunk %d: %w", f.dir, id, ErrNoChunk)
	}
	return f.recordAt(located{id, s.at})
}

// Look returns the results of a chunk as they are committed.
func (f *Folder) Look(ctx context.Context, id chunk.ID) ([]Result, error) {
	r, err := f.Record(ctx, id)
	if err != nil {
		return nil, err
	}
	result := Result{
		Chunk: r.Chunk, From: r.From, Of: r.Of, First: r.First, Objects: r.Objects, Digest: r.Digest, Counts: r.Counts,
		DeadCount: r.DeadCount, Attempt: r.Attempt, Mapper: r.Mapper, Version: r.Version,
	}
	if result.Outputs, err = f.Outputs(nil, r); err == nil {
		result.Dead, err = f.DeadLetters(nil, r)
	}
	return []Result{result}, err
}

// Records yields the committed chunks by ascending ID. It holds no lock while the
// caller works; of what is committed meanwhile it may miss some. After an
// error it ends.
func (f *Folder) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		page := make([]located, 0, pageRecords)
		for from := chunk.ID(0); ; from = page[len(page)-1].id + 1 {
			page = page[:0]
			err := f.look(ctx, func() {
				f.table.from(from, func(id chunk.ID, s spot) bool {
					page = append(page, located{id, s.at})
					return len(page) < pageRecords
				})
			})
			for _, l := range page {
				r, err := f.recordAt(l)
				if !yield(r, err) || err != nil {
					return
				}
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			if len(page) < pageRecords || page[len(page)-1].id == math.MaxUint64 {
				return
			}
		}
	}
}

// recordAt reads the record of a chunk. One that was replaced meanwhile is still there.
func (f *Folder) recordAt(l located) (r Record, err error) {
	err = f.body(func(p *partReader) error { r, err = p.record(l.id, l.at); return err })
	return r, err
}

// Outputs appends the output lines of a chunk to b, after checking them.
func (f *Folder) Outputs(b []byte, r Record) ([]byte, error) {
	err := f.body(func(p *partReader) (err error) { b, err = p.append(b, r.Outputs, &r); return err })
	return b, err
}

// DeadLetters appends the dead letters of a chunk to b, after checking them.
func (f *Folder) DeadLetters(b []byte, r Record) ([]byte, error) {
	err := f.body(func(p *partReader) (err error) { b, err = p.append(b, r.Dead, &r); return err })
	return b, err
}

// CopyOutputs writes the output lines of a chunk to w, in flat memory. On an
// error what was written may be wrong.
func (f *Folder) CopyOutputs(w io.Writer, r Record) error {
	return f.body(func(p *partReader) error { return p.copy(w, r.Outputs, &r) })
}

// body reads from the log. Damage found here ends nothing: verify goes on
// to the next chunk.
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

// look looks into the table, while nothing changes.
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
