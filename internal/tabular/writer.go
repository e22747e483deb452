package tabular

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// A Format is a kind of file that holds a table.
type Format int

const (
	// CSV is a row of names and a row for each object, as in RFC 4180, with LF at the end of rows.
	CSV Format = iota + 1
	// Parquet is a Parquet file whose pages are compressed with Snappy.
	Parquet
)

// FormatOf returns the format that the end of a file's name selects; 0: none of these.
func FormatOf(name string) Format {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return CSV
	case ".parquet":
		return Parquet
	}
	return 0
}

// MediaType returns the media type of a file.
func (f Format) MediaType() string {
	if f == CSV {
		return "text/csv"
	}
	return "application/vnd.apache.parquet"
}

// A Writer writes JSON objects as the rows of a table. After an error it cannot be used any more.
type Writer interface {
	// Row writes the JSON object on a line.
	Row(line []byte) error
	// Flush writes the rows so far, as far as the format allows. It ends a row group of Parquet.
	Flush() error
	// Close writes the rest of the file. It does not close the file.
	Close() error
}

// NewWriter returns a writer of a table with columns that have seen all objects. The error is an ErrNoTable, or one of
// w.
func NewWriter(w io.Writer, f Format, c *Columns) (Writer, error) {
	if len(c.list) == 0 && c.objects > 0 {
		return nil, fmt.Errorf("%w: none of them has a key", ErrNoTable)
	}
	if f == CSV {
		return newCSVWriter(w, c)
	}
	return newParquetWriter(w, c), nil
}

// A LineWriter calls Line with each line that is written to it, without its line feed. The end of the last line must be
// written, too. Line must not keep the bytes.
type LineWriter struct {
	Line func(line []byte) error
	rest []byte // the beginning of a line
}

// Write implements io.Writer.
func (l *LineWriter) Write(b []byte) (int, error) {
	n := len(b)
	for {
		line, after, whole := bytes.Cut(b, []byte{'\n'})
		if !whole {
			l.rest = append(l.rest, b...)
			return n, nil
		}
		if len(l.rest) > 0 {
			l.rest = append(l.rest, line...)
			line = l.rest
		}
		if err := l.Line(line); err != nil {
			return 0, err
		}
		l.rest, b = l.rest[:0], after
	}
}
