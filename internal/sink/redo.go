package sink

import (
	"context"
	"slices"
)

// Redone counts the results that Redo removed.
type Redone struct {
	Chunks  uint64 `json:"chunks"` // chunks of which some or all objects were removed
	Objects uint64 `json:"objects"`
	Outputs uint64 `json:"outputs"`
	Dead    uint64 `json:"dead"` // letters
}

// Redo removes the results of a mapper version in one step, so that the job's next fetcher has their chunks mapped
// again. Until the step is done, all old results are there; after it, none. Their bytes stay in the log.
//
// A running fetcher still considers these results saved. So Redo gives the job a new epoch, which fences that fetcher
// before it can finish the job. Redo also fences the version, so results that its mappers still hold cannot replace the
// removed ones. If there is nothing to remove, nothing changes. Errors are those of Commit.
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
	frames := []frame{{kind: claimsKind, claims: f.state.Load().claims.Redo(version)}}
	done := Redone{Chunks: countChunks(bad)}
	for some := range slices.Chunk(bad, maxRemoved) {
		gone := removal{pieces: make([]removed, len(some))}
		for i := range some {
			gone.pieces[i] = removed{some[i].Chunk, some[i].From}
			gone.totals.Add(&some[i])
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

// recordsOf returns the records of a version, by ascending ID, then From. Call it with mu held.
func (f *Folder) recordsOf(ctx context.Context, version string) (found []Record, err error) {
	for p := range f.table.From(0) {
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
