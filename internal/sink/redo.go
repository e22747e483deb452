package sink

import (
	"context"
	"crypto/rand"
	"slices"
)

// Redone says what Redo took out.
type Redone struct {
	Chunks  uint64 `json:"chunks"` // of which it took out all objects, or some
	Objects uint64 `json:"objects"`
	Outputs uint64 `json:"outputs"`
	Dead    uint64 `json:"dead"` // letters
}

// Redo takes the results of a version of mappers out, in one step, so that the job's
// next fetcher has their chunks mapped again: the old results are there until the
// step is done, and none of them after it. Their bytes stay in the log.
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
	now := f.state.Load().claims
	claimed := now.fence("redo-"+rand.Text()).fenceVersion(version, now.Terms[version]+1).unbind(version)
	frames := []frame{{kind: claimsKind, claims: claimed}}
	done := Redone{Chunks: countChunks(bad)}
	for some := range slices.Chunk(bad, maxRemoved) {
		gone := removal{pieces: make([]removed, len(some))}
		for i := range some {
			gone.pieces[i] = removed{some[i].Chunk, some[i].From}
			gone.totals.add(&some[i])
		}
		frames = append(frames, frame{kind: removedKind, removed: gone})
		done.Objects += gone.totals.Objects
		done.Outputs += gone.totals.Outputs
		done.Dead += gone.totals.Dead
	}
	if err := f.append(frames); err != nil {
		return Redone{}, err
	}
	return done, nil
}

// countChunks counts the chunks of records that are sorted by chunk.
func countChunks(records []Record) (n uint64) {
	for i := range records {
		if i == 0 || records[i].Chunk != records[i-1].Chunk {
			n++
		}
	}
	return n
}

// recordsOf returns the records of a version, by ascending ID, then From. The caller holds the mutex.
func (f *Folder) recordsOf(ctx context.Context, version string) (found []Record, err error) {
	for p := range f.table.from(0) {
		r, err := f.headers.record(p)
		if err != nil {
			return nil, f.breakDown(err)
		}
		if r.Version == version {
			found = append(found, r)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return found, ctx.Err()
}
