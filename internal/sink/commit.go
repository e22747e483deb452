package sink

import (
	"context"
	"errors"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Commit stores a group, as Sink says: with one sync.
func (f *Folder) Commit(ctx context.Context, results []Result) ([]Outcome, error) {
	for i := range results {
		if err := results[i].Check(); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.state.Load().claims.Plan == nil {
		return nil, fmt.Errorf("sink folder %s: %w", f.dir, ErrUnclaimed)
	}
	outcomes, fresh, err := f.judge(results)
	if err != nil {
		return nil, f.breakDown(err)
	}
	if len(fresh) > 0 {
		if err := f.append(fresh); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// Replace puts a new result of the same objects in the place of a committed
// one, in one step: for dead letters that were retried. The old bytes stay in
// the log, and Finish has to merge again. Errors are those of
// Commit, and ErrNoChunk and ErrConflict, which change nothing.
func (f *Folder) Replace(ctx context.Context, result Result) error {
	if err := result.Check(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	old, there, err := f.lookup(result.Chunk)
	switch {
	case err != nil:
		return f.breakDown(err)
	case !there:
		return fmt.Errorf("sink folder %s: replace chunk %d: %w", f.dir, result.Chunk, ErrNoChunk)
	case !old.sameObjects(&result):
		return fmt.Errorf("sink folder %s: replace chunk %d: %w", f.dir, result.Chunk, ErrConflict)
	case f.state.Load().claims.mixes(&result):
		return fmt.Errorf("sink folder %s: replace chunk %d: version %q did something else: %w", f.dir, result.Chunk, result.Version, ErrConflict)
	}
	return f.append(f.withTransforms([]frame{frameOf(&result)}, f.state.Load().claims.bind(&result)))
}

// judge says what will become of each result, and what is to be stored.
func (f *Folder) judge(results []Result) ([]Outcome, []frame, error) {
	outcomes := make([]Outcome, len(results))
	fresh := make([]frame, 0, len(results)+1)
	first := make(map[chunk.ID]*Record, len(results)) // what of this group is stored
	bound := f.state.Load().claims
	for i := range results {
		r := &results[i]
		there, ok := first[r.Chunk]
		if !ok {
			var err error
			if there, ok, err = f.duplicated(r); err != nil {
				return nil, nil, err
			}
		}
		switch {
		case !ok && r.Term < bound.Terms[r.Version]:
			outcomes[i] = TooLate
		case !ok && bound.mixes(r):
			outcomes[i] = OtherTransform
		case !ok:
			bound = bound.bind(r)
			fresh = append(fresh, frameOf(r))
			first[r.Chunk] = &fresh[len(fresh)-1].record // fresh has room for all
			outcomes[i] = Committed
		case there != nil && there.sameObjects(r):
			outcomes[i] = Duplicate
		default:
			outcomes[i] = Conflict
		}
	}
	return outcomes, f.withTransforms(fresh, bound), nil
}

// duplicated says whether the chunk of a result is there; with another digest, its
// record is nil, for that says enough.
func (f *Folder) duplicated(r *Result) (*Record, bool, error) {
	s, ok := f.table.get(r.Chunk)
	if !ok || s.digest != r.Digest {
		return nil, ok, nil
	}
	there, err := f.headers.record(r.Chunk, s.at)
	return &there, true, err
}

// lookup reads the record of a chunk. Call it with mu held.
func (f *Folder) lookup(id chunk.ID) (r Record, there bool, err error) {
	s, ok := f.table.get(id)
	if !ok {
		return r, false, nil
	}
	r, err = f.headers.record(id, s.at)
	return r, true, err
}

func frameOf(r *Result) frame {
	return frame{kind: chunkKind, record: recordOf(r), outputs: r.Outputs, dead: r.Dead}
}

// withTransforms adds a record of claims if these have become others.
func (f *Folder) withTransforms(frames []frame, bound *claims) []frame {
	if bound == f.state.Load().claims {
		return frames
	}
	return append(frames, frame{kind: claimsKind, claims: bound})
}

// append makes records durable, all of them or none, and then visible. On ErrFull
// everything is as it was before; after any other error the folder is broken. Call it
// with mu held.
func (f *Folder) append(frames []frame) error {
	if err := f.log.write(frames); err != nil {
		if isFull(err) {
			return f.undo(f.full(err))
		}
		return f.breakDown(err)
	}
	if err := f.timed("log", f.log.sync); err != nil {
		return f.breakDown(err)
	}
	f.log.settle()
	next := f.state.Load().next()
	for i := range frames {
		if err := f.apply(next, &frames[i]); err != nil {
			return f.breakDown(err)
		}
	}
	f.state.Store(next)
	if f.index.due(f.log) {
		f.index.write(f.log, next)
	}
	return nil
}

// undo takes off what was written of a commit, and returns cause.
func (f *Folder) undo(cause error) error {
	if err := f.log.undo(); err != nil {
		return f.breakDown(errors.Join(cause, err))
	}
	return cause
}

// apply takes over what a record says. Records of the log go through it once, in
// their order, when they are written or when the folder is opened.
func (f *Folder) apply(next *state, fr *frame) error {
	switch fr.kind {
	case claimsKind:
		next.claims = fr.claims
	case mergedKind:
		next.written, next.finished = fr.merged.Written, fr.merged.Finished
	case removedKind:
		next.totals.remove(fr.removed.totals)
		for _, id := range fr.removed.chunks {
			f.table.remove(id)
			f.index.note(id, spot{})
		}
		next.change()
	case chunkKind:
		r := &fr.record
		old, replaced, err := f.lookup(r.Chunk)
		if err != nil {
			return err
		}
		if replaced {
			next.totals.remove(old.totals())
		}
		next.totals.add(r)
		s := spot{at: fr.position(), digest: r.Digest}
		f.table.set(r.Chunk, s)
		f.index.note(r.Chunk, s)
		next.change()
	}
	return nil
}
