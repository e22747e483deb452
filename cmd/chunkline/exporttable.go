package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/tabular"
)

// isTable reports whether the name of a file promises a table.
func isTable(name string) bool { return sink.TableOf(name) != 0 }

// checkColumns checks the flag --columns.
func (e *export) checkColumns() error {
	if len(e.columns) == 0 {
		return nil
	}
	if !isTable(e.output) {
		return app.Usage("--columns is for an --output that ends in .csv or .parquet")
	}
	if err := tabular.CheckNames(e.columns); err != nil {
		return app.Usage("--columns: %w", err)
	}
	return nil
}

// convert writes the objects of a complete download as a table to a file beside it, and removes the download. If that
// fails, no file is left.
func (e *export) convert(part string) (made string, err error) {
	in, err := os.Open(part)
	if err != nil {
		return "", fmt.Errorf("open download: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close(), os.Remove(part)) }()
	made = part + ".table"
	out, err := os.OpenFile(made, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // the umask decides who else may read results
	if err != nil {
		return "", fmt.Errorf("open file for the rows: %w", err)
	}
	err = e.writeTable(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", fmt.Errorf("write %s: %w", e.output, errors.Join(err, os.Remove(made)))
	}
	return made, nil
}

// writeTable writes the objects of a file, one a line, as a table.
func (e *export) writeTable(out io.Writer, in io.ReadSeeker) error {
	columns := tabular.NewColumns(e.columns)
	if err := eachLine(in, columns.Add); err != nil {
		return err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read outputs: %w", err)
	}
	w := bufio.NewWriterSize(out, 1<<20)
	content, err := sink.Compress(e.output, w)
	if err != nil {
		return err
	}
	table, err := tabular.NewWriter(content, sink.TableOf(e.output), columns)
	if err != nil {
		return err
	}
	if err := eachLine(in, table.Row); err != nil {
		return err
	}
	return errors.Join(table.Close(), content.Close(), w.Flush())
}

// eachLine calls do with each line.
func eachLine(in io.Reader, do func(line []byte) error) error {
	n := 0
	lines := tabular.LineWriter{Line: func(line []byte) error {
		n++
		if err := do(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		return nil
	}}
	_, err := io.CopyBuffer(struct{ io.Writer }{&lines}, struct{ io.Reader }{in}, make([]byte, 1<<20))
	return err //nolint:wrapcheck // it is one of do, or names the file
}
