package sink

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Follow writes the outputs to w in input order while the job runs: those of a piece once it and all pieces before it
// are committed. It begins at the first claim after the epoch after, so a job that is refused writes nothing. It
// returns nil when the job is finished and all its outputs are written.
//
// It holds no lock while it writes: a slow w delays neither commits nor reads. It takes constant memory, because
// outputs that w has not taken yet are only in the log. Do not call Replace or Redo meanwhile.
func (f *Folder) Follow(ctx context.Context, w io.Writer, after uint64) (err error) {
	reader := newPartReader(f.log)
	defer func() { err = errors.Join(err, reader.close()) }()
	out := bufio.NewWriterSize(w, readSize)
	page := make([]Placed, 0, pageRecords)
	for next := (place{}); ; {
		now := f.state.Load() // before the table: a later commit ends the wait below
		if now.claims.Epoch > after {
			if page, err = f.adjacent(ctx, page[:0], &next); err != nil {
				return err
			}
		}
		switch {
		case len(page) > 0:
			if err := copyOutputs(out, reader, page); err != nil {
				return err
			}
			page = page[:0]
		case now.claims.Epoch > after && f.isFinished(now):
			return nil
		default:
			select {
			case <-now.replaced:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// copyOutputs writes the outputs of pieces.
func copyOutputs(w *bufio.Writer, reader *partReader, pieces []Placed) error {
	for _, p := range pieces {
		r, err := reader.record(p)
		if err != nil {
			return err
		}
		if err := reader.copy(w, r.Outputs, &r); err != nil {
			return err
		}
	}
	return w.Flush()
}

// A place is an object of a chunk.
type place struct {
	id   chunk.ID
	from int // index of the object within the chunk
}

// adjacent appends the committed pieces that follow one another from next on, at most a page, and moves next past them.
func (f *Folder) adjacent(ctx context.Context, page []Placed, next *place) ([]Placed, error) {
	err := f.Locked(ctx, func(t *Table) {
		for p := range t.From(next.id) {
			if p.ID == next.id && p.From < next.from {
				continue
			}
			if (place{p.ID, p.From}) != *next || len(page) == pageRecords {
				break
			}
			page = append(page, p)
			if next.from += p.Objects; next.from == p.Of {
				*next = place{id: next.id + 1}
			}
		}
	})
	return page, err
}
