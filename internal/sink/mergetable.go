package sink

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/chunkline/chunkline/internal/tabular"
)

// mergeTable writes the outputs of all pieces, in order, as a table to w. It reads them twice, because the columns
// depend on all of them.
func (f *Folder) mergeTable(ctx context.Context, w io.Writer, format tabular.Format) error {
	columns := tabular.NewColumns(nil)
	if err := f.EachOutput(ctx, columns.Add); err != nil {
		return f.explainTable(err)
	}
	table, err := tabular.NewWriter(w, format, columns)
	if err != nil {
		return f.explainTable(err)
	}
	if err := f.EachOutput(ctx, table.Row); err != nil {
		return err
	}
	return table.Close()
}

// explainTable adds advice to an error about outputs that cannot become a table. An output that cannot be a row has
// become a dead letter, unless the output of the folder had another name when it was committed.
func (f *Folder) explainTable(err error) error {
	if errors.Is(err, tabular.ErrNoRow) || errors.Is(err, tabular.ErrNoTable) {
		return fmt.Errorf("%w (all results stay in %s: rename it for an output that ends in .jsonl, and run again)", err, f.dir)
	}
	return err
}
