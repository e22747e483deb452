package sink

import (
	"context"
	"fmt"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Commit implements saver.Sink. It stores a group with one sync. If the ordered output is a table, objects whose
// outputs cannot be rows become dead letters, also in results.
func (f *Folder) Commit(ctx context.Context, results []Result) ([]Outcome, error) {
	if err := CheckResults(results); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.changeable(ctx); err != nil {
		return nil, err
	}
	now := f.state.Load().claims
	if now.Plan == nil {
		return nil, fmt.Errorf("sink folder %s: %w", f.dir, ErrUnclaimed)
	}
	outcomes, bound, err := now.Outcomes(results, f.table, f.headers.record)
	if err != nil {
		return nil, f.breakDown(err)
	}
	stored := slices.Clone(results)
	fresh := make([]frame, 0, len(results)+1)
	for i, outcome := range outcomes {
		if outcome != Committed {
			continue
		}
		if stored[i], err = Fit(TableOf(f.o.Output), stored[i]); err != nil {
			return nil, err
		}
		fresh = append(fresh, frameOf(&stored[i]))
	}
	if len(fresh) > 0 {
		if err := f.append(f.withTransforms(fresh, bound)); err != nil {
			return nil, err
		}
	}
	copy(results, stored)
	return outcomes, nil
}

// Replace atomically replaces the committed result of a piece by results that together have its objects, for dead
// letters that were retried. old is the record that they were made from: if the piece has another one by now, it stays.
// The old bytes stay in the log, and Finish must merge again. Objects whose outputs cannot be rows become dead letters,
// also in results. Errors are those of Commit, and ErrNoChunk, ErrChanged and ErrConflict, which change nothing.
func (f *Folder) Replace(ctx context.Context, old Record, results ...Result) error {
	if err := CheckResults(results); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.changeable(ctx); err != nil {
		return err
	}
	there, err := f.lookup(old.Chunk, old.From)
	if err != nil {
		return f.breakDown(err)
	}
	bound, err := f.state.Load().claims.Replace(there, &old, results)
	if err != nil {
		return fmt.Errorf("sink folder %s: %w", f.dir, err)
	}
	gone := removal{pieces: []removed{{old.Chunk, old.From}}}
	gone.totals.Add(&old)
	frames := []frame{{kind: removedKind, removed: gone}}
	for i := range results {
		if results[i], err = Fit(TableOf(f.o.Output), results[i]); err != nil {
			return err
		}
		frames = append(frames, frameOf(&results[i]))
	}
	return f.append(f.withTransforms(frames, bound))
}

// lookup reads the record of the piece of a chunk that begins at an index; nil if it is not committed. Call it with mu
// held.
func (f *Folder) lookup(id chunk.ID, from int) (*Record, error) {
	p, there := f.table.Get(id, from)
	if !there {
		return nil, nil
	}
	r, err := f.headers.record(p)
	return &r, err
}

func frameOf(r *Result) frame {
	return frame{kind: chunkKind, record: RecordOf(r), outputs: r.Outputs, dead: r.Dead}
}

// withTransforms adds a record of the claims if they have changed.
func (f *Folder) withTransforms(frames []frame, bound *Claims) []frame {
	if bound == f.state.Load().claims {
		return frames
	}
	return append(frames, frame{kind: claimsKind, claims: bound})
}

// append makes records durable, all of them or none, and then visible. On ErrFull nothing has changed; after any other
// error the folder is broken. Call it with mu held.
func (f *Folder) append(frames []frame) error {
	if err := f.log.write(frames); err != nil {
		if isFull(err) {
			return f.undo(f.full(err))
		}
		return f.breakDown(err)
	}
	if err := f.Timed(f.log.sync); err != nil {
		return f.breakDown(err)
	}
	f.log.advance()
	now := f.state.Load()
	next := now.next()
	for i := range frames {
		if err := f.apply(next, &frames[i]); err != nil {
			return f.breakDown(err)
		}
	}
	f.state.Store(next)
	close(now.replaced)
	if f.index.due(f.log) {
		f.index.write(f.log, next)
	}
	return nil
}

// apply updates next from a record. Each record of the log is applied once, in order, when it is written or when the
// folder is opened.
func (f *Folder) apply(next *state, fr *frame) error {
	switch fr.kind {
	case claimsKind:
		next.claims = fr.claims
	case mergedKind:
		next.written, next.finished = fr.merged.Written, fr.merged.Finished
	case removedKind:
		next.totals.Remove(fr.removed.totals)
		for _, gone := range fr.removed.pieces {
			if f.table.Complete(gone.chunk) {
				next.totals.Chunks--
			}
			f.table.Remove(gone.chunk, gone.from)
			f.index.note(Placed{Entry: Entry{ID: gone.chunk, From: gone.from}})
		}
		next.change()
	case chunkKind:
		r := &fr.record
		old, err := f.lookup(r.Chunk, r.From)
		if err != nil {
			return err
		}
		if old != nil {
			next.totals.Remove(old.Totals())
		}
		next.totals.Add(r)
		p := Placed{Entry: r.Entry(), At: fr.position()}
		f.table.Set(p)
		f.index.note(p)
		if old == nil && f.table.Complete(r.Chunk) {
			next.totals.Chunks++
		}
		next.change()
	}
	return nil
}
