package sink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Redone says what Redo took out.
type Redone struct {
	Chunks  uint64 `json:"chunks"`
	Objects uint64 `json:"objects"`
	Outputs uint64 `json:"outputs"`
	Dead    uint64 `json:"dead"` // letters
}

// Redo takes the results of a version of mappers out, in one step, so that the job's
// next fetcher has their chunks mapped again: the old results are there until the
// step is done, and none of them after it. Their bytes stay in the parts as garbage.
//
// A fetcher that still runs believes that they are saved. Redo gives the job a new
// epoch, so that it is fenced before it can finish the job. And it cuts the version off:
// what its mappers still hold is not taken in the place of what goes. With nothing to
// take out nothing changes. Errors are those of Commit.
func (f *Folder) Redo(ctx context.Context, version string) (Redone, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return Redone{}, err
	}
	bad, err := f.recordsOf(ctx, version)
	if err != nil || len(bad) == 0 {
		return Redone{}, err
	}
	var done Redone
	next := f.state.Load().next()
	next.totals.Content++
	next.finished = nil
	next.claims = next.claims.fence("redo-"+rand.Text()).fenceVersion(version, next.claims.Terms[version]+1).unbind(version)
	f.results.begin()
	f.dead.begin()
	for i := range bad {
		r := &bad[i]
		next.totals.remove(r)
		f.results.waste(r.Outputs)
		f.dead.waste(r.Dead)
		done.Chunks++
		done.Objects += uint64(r.Objects)
		done.Outputs += r.OutputCount()
		done.Dead += uint64(r.DeadCount)
	}
	err = f.change(next, func(tx *bolt.Tx) error {
		chunks := tx.Bucket(chunkBucket)
		for i := range bad {
			if err := chunks.Delete(chunkKey(bad[i].Chunk)); err != nil {
				return fmt.Errorf("take out chunk %d: %w", bad[i].Chunk, err)
			}
		}
		if err := f.results.put(tx); err != nil {
			return err
		}
		return f.dead.put(tx)
	})
	if errors.Is(err, ErrFull) {
		return Redone{}, f.undo(err)
	}
	if err != nil {
		return Redone{}, err
	}
	if err := f.settle(); err != nil {
		return Redone{}, f.breakDown(err)
	}
	return done, nil
}

// recordsOf returns the records of a version. The caller holds the mutex.
func (f *Folder) recordsOf(ctx context.Context, version string) ([]Record, error) {
	var found []Record
	err := f.index.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(chunkBucket).Cursor()
		for key, value := c.First(); key != nil; key, value = c.Next() {
			r, err := decodeRecord(key, value)
			if err != nil {
				return &DamageError{File: f.index.path, Offset: -1, Chunk: idOf(key), Known: true, What: err.Error()}
			}
			if r.Version == version {
				found = append(found, r)
			}
		}
		return nil
	})
	if err != nil {
		return nil, f.breakDown(err)
	}
	return found, ctx.Err()
}
