package sink

import (
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/chunkline/chunkline/internal/chunk"
)

const (
	// deadLook bounds how many records one call of DeadBelow looks at: some tens
	// of milliseconds. A sink has few dead letters, and nothing leads to them.
	deadLook = 64 * 1024
	// deadRead bounds what is read of one chunk's dead letters: an object may
	// have 64 MiB, and a person wants to see its beginning.
	deadRead = 4 << 20
)

// DeadBelow returns dead letters of chunks below a chunk, as Sink says.
func (f *Folder) DeadBelow(ctx context.Context, below chunk.ID, limit int) (lines []byte, next chunk.ID, err error) {
	found := 0
	for looked := 0; below > 0 && looked < deadLook && found < limit; {
		var page []Record
		var more bool
		if page, below, more, err = f.deadRecords(ctx, below, limit-found); err != nil {
			return nil, 0, err
		}
		looked += pageRecords
		for _, r := range page {
			if lines, err = f.shownDead(lines, r); err != nil {
				return nil, 0, fmt.Errorf("read dead letters of chunk %d: %w", r.Chunk, err)
			}
			found += r.DeadCount
		}
		if !more {
			return lines, 0, nil
		}
	}
	return lines, below, nil
}

// deadRecords looks at pageRecords records, downwards from the chunk before
// below, for such with dead letters, until these are as many as wanted. More
// says whether there are records below the new below.
func (f *Folder) deadRecords(ctx context.Context, below chunk.ID, wanted int) (found []Record, next chunk.ID, more bool, err error) {
	err = f.read(ctx, func(tx *bolt.Tx) error {
		c := tx.Bucket(chunkBucket).Cursor()
		var key, value []byte
		if at, _ := c.Seek(chunkKey(below)); at != nil {
			key, value = c.Prev()
		} else { // Seek has left the cursor behind the last one
			key, value = c.Last()
		}
		for range pageRecords {
			if key == nil {
				return nil
			}
			r, err := decodeRecord(key, value)
			if err != nil {
				return &DamageError{File: f.index.path, Offset: -1, Chunk: idOf(key), Known: true, What: err.Error()}
			}
			next = r.Chunk
			if r.DeadCount > 0 {
				found, wanted = append(found, r), wanted-r.DeadCount
			}
			if key, value = c.Prev(); wanted <= 0 {
				break
			}
		}
		more = key != nil
		return nil
	})
	return found, next, more, err
}

// shownDead appends a chunk's dead letters, or one that stands for them when
// they are too large to be read for a look.
func (f *Folder) shownDead(lines []byte, r Record) ([]byte, error) {
	if r.Dead.Length <= deadRead {
		return f.DeadLetters(lines, r)
	}
	letter := chunk.DeadLetter{
		Ordinal: r.First, Chunk: r.Chunk, Attempts: r.Attempt, Mapper: r.Mapper, Version: r.Version,
		Error: fmt.Sprintf("%d dead letters of %d bytes, too large to show here: chunkline dead list prints them", r.DeadCount, r.Dead.Length),
	}
	return letter.Append(lines), nil
}
