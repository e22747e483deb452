package sink

import (
	"context"
	"errors"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Commit implements saver.Sink. It stores a group with one sync.
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
	outcomes, fresh, err := f.outcomes(results)
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

// Replace atomically replaces the committed result of a piece, for dead letters that were retried. The old bytes stay in
// the log, and Finish must merge again. Errors are those of Commit, and ErrNoChunk and ErrConflict, which change nothing.
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
	old, there, err := f.lookup(result.Chunk, result.From)
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

// outcomes returns the outcome of each result, and the frames to store.
func (f *Folder) outcomes(results []Result) ([]Outcome, []frame, error) {
	outcomes := make([]Outcome, len(results))
	fresh := make([]frame, 0, len(results)+1)
	last := make(map[chunk.ID]int, len(results)) // the last frame of a chunk in fresh
	bound := f.state.Load().claims
	for i := range results {
		r := &results[i]
		met, err := f.meet(r)
		if err != nil {
			return nil, nil, err
		}
		if end, grouped := last[r.Chunk]; grouped {
			for n := range fresh[:end+1] {
				met.meetRecord(r, &fresh[n].record)
			}
		}
		switch {
		case met.conflict:
			outcomes[i] = Conflict
		case met.objects == r.Objects:
			outcomes[i] = Duplicate
		case met.objects > 0:
			outcomes[i] = Overlap
		case r.Term < bound.Terms[r.Version]:
			outcomes[i] = TooLate
		case bound.mixes(r):
			outcomes[i] = OtherTransform
		default:
			bound = bound.bind(r)
			last[r.Chunk] = len(fresh)
			fresh = append(fresh, frameOf(r))
			outcomes[i] = Committed
		}
	}
	return outcomes, f.withTransforms(fresh, bound), nil
}

// A meeting compares a result with the committed pieces of its chunk.
type meeting struct {
	objects  int  // objects of the result that are committed
	conflict bool // the chunk was made from other objects
}

// meet compares a result with the committed pieces of its chunk.
func (f *Folder) meet(r *Result) (met meeting, err error) {
	known := false // whether the chunk's ordinals are known: all its pieces agree on them
	for p := range f.table.pieces(r.Chunk) {
		if met.meet(r, p.Entry); met.conflict {
			break
		}
		if known {
			continue
		}
		there, err := f.headers.record(p)
		if err != nil {
			return met, err
		}
		known, met.conflict = true, there.begins() != r.begins()
	}
	return met, nil
}

func (m *meeting) meet(r *Result, there Entry) {
	m.conflict = m.conflict || there.Of != r.Of || there.Digest != r.Digest
	m.objects += max(0, min(there.From+there.Objects, r.From+r.Objects)-max(there.From, r.From))
}

// meetRecord compares a result with another result of its group.
func (m *meeting) meetRecord(r *Result, there *Record) {
	if there.Chunk == r.Chunk {
		m.meet(r, there.entry())
		m.conflict = m.conflict || there.begins() != r.begins()
	}
}

// begins returns the ordinal of the chunk's first object.
func (r *Result) begins() uint64 { return r.First - uint64(r.From) }
func (r *Record) begins() uint64 { return r.First - uint64(r.From) }

// lookup reads the record of the piece of a chunk that begins at an index. Call it with mu held.
func (f *Folder) lookup(id chunk.ID, from int) (r Record, there bool, err error) {
	p, there := f.table.get(id, from)
	if !there {
		return r, false, nil
	}
	r, err = f.headers.record(p)
	return r, true, err
}

func frameOf(r *Result) frame {
	return frame{kind: chunkKind, record: recordOf(r), outputs: r.Outputs, dead: r.Dead}
}

// withTransforms adds a record of the claims if they have changed.
func (f *Folder) withTransforms(frames []frame, bound *claims) []frame {
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
	if err := f.timed("log", f.log.sync); err != nil {
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

// undo removes the written part of a commit, and returns cause.
func (f *Folder) undo(cause error) error {
	if err := f.log.undo(); err != nil {
		return f.breakDown(errors.Join(cause, err))
	}
	return cause
}

// apply updates next from a record. Each record of the log is applied once, in order, when it is written or when the folder
// is opened.
func (f *Folder) apply(next *state, fr *frame) error {
	switch fr.kind {
	case claimsKind:
		next.claims = fr.claims
	case mergedKind:
		next.written, next.finished = fr.merged.Written, fr.merged.Finished
	case removedKind:
		next.totals.remove(fr.removed.totals)
		for _, gone := range fr.removed.pieces {
			if f.table.complete(gone.chunk) {
				next.totals.Chunks--
			}
			f.table.remove(gone.chunk, gone.from)
			f.index.note(placed{Entry: Entry{ID: gone.chunk, From: gone.from}})
		}
		next.change()
	case chunkKind:
		r := &fr.record
		old, replaced, err := f.lookup(r.Chunk, r.From)
		if err != nil {
			return err
		}
		if replaced {
			next.totals.remove(old.totals())
		}
		next.totals.add(r)
		p := placed{Entry: r.entry(), at: fr.position()}
		f.table.set(p)
		f.index.note(p)
		if !replaced && f.table.complete(r.Chunk) {
			next.totals.Chunks++
		}
		next.change()
	}
	return nil
}
