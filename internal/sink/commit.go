package sink

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Commit stores a group, as Sink says: one sync of each part file touched, one
// index transaction.
func (f *Folder) Commit(ctx context.Context, results []Result) ([]Outcome, error) {
	for i := range results {
		if err := results[i].check(); err != nil {
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
		if err := f.store(fresh, nil); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// Replace puts a new result of the same objects in the place of a committed
// one, in one step: for dead letters that were retried. The old bytes stay in
// the parts as garbage, and Finish has to merge again. Errors are those of
// Commit, and ErrNoChunk and ErrConflict, which change nothing.
func (f *Folder) Replace(ctx context.Context, result Result) error {
	if err := result.check(); err != nil {
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
	var old Record
	var there bool
	err := f.index.view(func(tx *bolt.Tx) (err error) {
		old, there, err = f.lookup(tx, result.Chunk)
		return err
	})
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
	return f.store([]*Result{&result}, &old)
}

// judge says what will become of each result, and which are to be stored.
func (f *Folder) judge(results []Result) ([]Outcome, []*Result, error) {
	outcomes := make([]Outcome, len(results))
	fresh := make([]*Result, 0, len(results))
	first := make(map[chunk.ID]Record, len(results)) // what of this group is stored
	bound := f.state.Load().claims
	err := f.index.view(func(tx *bolt.Tx) error {
		for i := range results {
			r := &results[i]
			there, ok := first[r.Chunk]
			if !ok {
				var err error
				if there, ok, err = f.lookup(tx, r.Chunk); err != nil {
					return err
				}
			}
			switch {
			case !ok && r.Term < bound.Terms[r.Version]:
				outcomes[i] = TooLate
			case !ok && bound.mixes(r):
				outcomes[i] = OtherTransform
			case !ok:
				bound = bound.bind([]*Result{r})
				first[r.Chunk] = recordOf(r)
				fresh = append(fresh, r)
				outcomes[i] = Committed
			case there.sameObjects(r):
				outcomes[i] = Duplicate
			default:
				outcomes[i] = Conflict
			}
		}
		return nil
	})
	return outcomes, fresh, err
}

// store makes a group durable, in this order: data, sync, index. replaced is
// what the only result of the group takes the place of, if anything.
//
// On ErrFull everything is as it was before; after any other error the folder is
// broken.
func (f *Folder) store(group []*Result, replaced *Record) error {
	records, err := f.writeData(group)
	if err != nil {
		if isFull(err) {
			return f.undo(f.full(err))
		}
		return f.breakDown(err)
	}
	if err := f.syncData(); err != nil {
		return f.breakDown(err)
	}
	if err := f.commitIndex(group, records, replaced); err != nil {
		if errors.Is(err, ErrFull) {
			return f.undo(err)
		}
		return err
	}
	if err := f.settle(); err != nil {
		return f.breakDown(err)
	}
	return nil
}

// writeData appends the bodies to the parts.
func (f *Folder) writeData(group []*Result) ([]Record, error) {
	f.results.begin()
	f.dead.begin()
	records := make([]Record, len(group))
	for i, r := range group {
		records[i] = recordOf(r)
		var err error
		if records[i].Outputs, err = f.results.add(r.Outputs); err != nil {
			return nil, err
		}
		if records[i].Dead, err = f.dead.add(r.Dead); err != nil {
			return nil, err
		}
	}
	if err := f.results.flush(); err != nil {
		return nil, err
	}
	return records, f.dead.flush()
}

// syncData makes the bodies durable.
func (f *Folder) syncData() error {
	return f.timed("results", func() error {
		if err := f.results.sync(); err != nil {
			return err
		}
		return f.dead.sync()
	})
}

// commitIndex makes the group visible.
func (f *Folder) commitIndex(group []*Result, records []Record, replaced *Record) error {
	next := f.state.Load().next()
	next.claims = next.claims.bind(group)
	next.totals.Content++
	next.finished = nil // what was merged is no longer all there is
	if replaced != nil {
		next.totals.remove(replaced)
		f.results.waste(replaced.Outputs)
		f.dead.waste(replaced.Dead)
	}
	for i := range records {
		next.totals.add(&records[i])
	}
	return f.change(next, func(tx *bolt.Tx) error {
		chunks := tx.Bucket(chunkBucket)
		chunks.FillPercent = 0.9 // chunks come about in the order of their IDs
		for i := range records {
			if err := chunks.Put(chunkKey(records[i].Chunk), records[i].encode()); err != nil {
				return fmt.Errorf("record chunk %d: %w", records[i].Chunk, err)
			}
		}
		if err := f.results.put(tx); err != nil {
			return err
		}
		return f.dead.put(tx)
	})
}

// settle ends a group that is committed.
func (f *Folder) settle() error { return errors.Join(f.results.settle(), f.dead.settle()) }

// undo takes a group's data off the parts again and returns cause.
func (f *Folder) undo(cause error) error {
	if err := errors.Join(f.results.undo(), f.dead.undo()); err != nil {
		return f.breakDown(errors.Join(cause, err))
	}
	return cause
}
