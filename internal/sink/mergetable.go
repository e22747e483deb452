package sink

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/chunkline/chunkline/internal/tabular"
)

// mergeTable writes the outputs of all pieces, in order, as a table to w. It reads them twice, because the columns depend on
// all of them.
func (f *Folder) mergeTable(ctx context.Context, w io.Writer, format tabular.Format) error {
	columns := tabular.NewColumns(nil)
	if err := f.eachOutput(ctx, columns.Add); err != nil {
		return f.explainTable(err)
	}
	table, err := tabular.NewWriter(w, format, columns)
	if err != nil {
		return f.explainTable(err)
	}
	if err := f.eachOutput(ctx, table.Row); err != nil {
		return err
	}
	return table.Close()
}

// explainTable says what to do about outputs that make no table. Those of which each cannot be a row are dead letters, unless
// the folder had an output with another name when they were committed.
func (f *Folder) explainTable(err error) error {
	if errors.Is(err, tabular.ErrNoRow) || errors.Is(err, tabular.ErrNoTable) {
		return fmt.Errorf("%w (all results stay in %s: rename it for an output that ends in .jsonl, and run again)", err, f.dir)
	}
	return err
}

// eachOutput calls do with each output, in order.
func (f *Folder) eachOutput(ctx context.Context, do func(line []byte) error) (err error) {
	reader := newPartReader(f.log)
	defer func() { err = errors.Join(err, reader.close()) }()
	for r, err := range f.Records(ctx) {
		if err != nil {
			return err
		}
		n, failed := 0, error(nil) // lines of the record, and the first error of do
		lines := tabular.LineWriter{Line: func(line []byte) error {
			if failed == nil {
				if failed = do(line); failed != nil {
					failed = fmt.Errorf("object %d: %w", r.First+uint64(objectOf(r.Counts, n)), failed)
				}
			}
			n++
			return nil // so that the whole range is read, and damage is reported as damage
		}}
		if err := reader.copy(&lines, r.Outputs, &r); err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}

// objectOf returns the index of the object that has the nth output.
func objectOf(counts []int, n int) int {
	for i, count := range counts {
		if n -= count; n < 0 {
			return i
		}
	}
	return len(counts)
}
