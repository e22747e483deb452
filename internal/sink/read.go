package sink

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math"

	bolt "go.etcd.io/bbolt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// pageRecords is how many records are read in one transaction. Between two of
// them commits get their turn.
const pageRecords = 1024

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
	err := f.walk(ctx, from, func(r *Record) bool {
		if r.Chunk > last {
			return false
		}
		entries = append(entries, Entry{ID: r.Chunk, Digest: r.Digest})
		return true
	})
	return entries, err
}

// Has returns those of ids that are committed.
func (f *Folder) Has(ctx context.Context, ids []chunk.ID) ([]Entry, error) {
	entries := make([]Entry, 0, len(ids))
	err := f.read(ctx, func(tx *bolt.Tx) error {
		for _, id := range ids {
			r, ok, err := f.lookup(tx, id)
			if err != nil {
				return err
			}
			if ok {
				entries = append(entries, Entry{ID: id, Digest: r.Digest})
			}
		}
		return nil
	})
	return entries, err
}

// Record returns the record of a chunk; ErrNoChunk if it is not committed.
func (f *Folder) Record(ctx context.Context, id chunk.ID) (r Record, err error) {
	err = f.read(ctx, func(tx *bolt.Tx) error {
		var ok bool
		if r, ok, err = f.lookup(tx, id); err == nil && !ok {
			err = fmt.Errorf("sink folder %s: chunk %d: %w", f.dir, id, ErrNoChunk)
		}
		return err
	})
	return r, err
}

// Look returns the result of a chunk as it is committed.
func (f *Folder) Look(ctx context.Context, id chunk.ID) (Result, error) {
	r, err := f.Record(ctx, id)
	if err != nil {
		return Result{}, err
	}
	result := Result{
		Chunk: r.Chunk, First: r.First, Objects: r.Objects, Digest: r.Digest, Counts: r.Counts,
		DeadCount: r.DeadCount, Attempt: r.Attempt, Mapper: r.Mapper, Version: r.Version,
	}
	if result.Outputs, err = f.Outputs(nil, r); err == nil {
		result.Dead, err = f.DeadLetters(nil, r)
	}
	return result, err
}

// Records yields the committed chunks by ascending ID. It holds no lock while the
// caller works; of what is committed meanwhile it may miss some. After an
// error it ends.
func (f *Folder) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		from := chunk.ID(0)
		for {
			page := make([]Record, 0, pageRecords)
			err := f.walk(ctx, from, func(r *Record) bool {
				page = append(page, *r)
				return len(page) < pageRecords
			})
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			if len(page) < pageRecords || page[len(page)-1].Chunk == math.MaxUint64 {
				return
			}
			from = page[len(page)-1].Chunk + 1
		}
	}
}

// Outputs appends the output lines of a chunk to b, after checking them.
func (f *Folder) Outputs(b []byte, r Record) ([]byte, error) {
	err := f.body(func(p *partReader) (err error) { b, err = p.append(b, f.results, r.Outputs, &r); return err })
	return b, err
}

// DeadLetters appends the dead letters of a chunk to b, after checking them.
func (f *Folder) DeadLetters(b []byte, r Record) ([]byte, error) {
	err := f.body(func(p *partReader) (err error) { b, err = p.append(b, f.dead, r.Dead, &r); return err })
	return b, err
}

// CopyOutputs writes the output lines of a chunk to w, in flat memory. On an
// error what was written may be wrong.
func (f *Folder) CopyOutputs(w io.Writer, r Record) error {
	return f.body(func(p *partReader) error { return p.copy(w, f.results, r.Outputs, &r) })
}

// body reads from the parts. Damage found here ends nothing: verify goes on
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

// walk shows the records from a chunk on, in one transaction, until show
// returns false.
func (f *Folder) walk(ctx context.Context, from chunk.ID, show func(*Record) bool) error {
	return f.read(ctx, func(tx *bolt.Tx) error {
		c := tx.Bucket(chunkBucket).Cursor()
		for key, value := c.Seek(chunkKey(from)); key != nil; key, value = c.Next() {
			r, err := decodeRecord(key, value)
			if err != nil {
				return &DamageError{File: f.index.path, Offset: -1, Chunk: idOf(key), Known: true, What: err.Error()}
			}
			if !show(&r) {
				return nil
			}
		}
		return nil
	})
}

func idOf(key []byte) chunk.ID {
	var whole [8]byte
	copy(whole[:], key)
	return chunk.ID(binary.BigEndian.Uint64(whole[:]))
}

// read runs a read transaction. Damage ends the folder.
func (f *Folder) read(ctx context.Context, do func(*bolt.Tx) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := f.index.view(do)
	if isDamage(err) {
		return f.breakDown(err)
	}
	return err
}
