package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/app"
)

// isCSV reports whether the name of a file promises CSV.
func isCSV(name string) bool { return strings.EqualFold(filepath.Ext(name), ".csv") }

// A table writes JSON objects as the rows of a CSV file, below a row with the names of the columns.
type table struct {
	w       *csv.Writer
	columns []string       // keys, in order; nil until the first object is there
	index   map[string]int // of each column
}

// writeCSV writes the JSON objects in r, one a line, as CSV to w. The columns are the keys of the first object, in its
// order, if none are given. A key that an object lacks, like null, is an empty field. A line that is no object or that
// has another key is an error with its number.
func writeCSV(w io.Writer, r io.Reader, columns []string) error {
	t := &table{w: csv.NewWriter(w)}
	if len(columns) > 0 {
		if err := t.begin(columns); err != nil {
			return err
		}
	}
	lines := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read outputs: %w", err)
		}
		if err := t.row(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	t.w.Flush()
	return t.w.Error()
}

// begin writes the row with the names of the columns.
func (t *table) begin(columns []string) error {
	t.columns, t.index = columns, make(map[string]int, len(columns))
	for i, name := range columns {
		if _, there := t.index[name]; there {
			return fmt.Errorf("column %q is there twice", name)
		}
		t.index[name] = i
	}
	return t.w.Write(columns)
}

// row writes the object on a line.
func (t *table) row(line []byte) error {
	keys, values, err := members(line)
	if err != nil {
		return err
	}
	if t.columns == nil {
		if err := t.begin(keys); err != nil {
			return err
		}
	}
	fields := make([]string, len(t.columns))
	for i, key := range keys {
		column, known := t.index[key]
		if !known {
			return fmt.Errorf("the object has the key %q, which is no column: list all columns with --columns", key)
		}
		if fields[column], err = field(values[i]); err != nil {
			return err
		}
	}
	return t.w.Write(fields)
}

// errNoObject means that an output cannot be a row.
var errNoObject = errors.New("the output is not a JSON object: a CSV file needs objects")

// members returns the keys of a JSON object, in their order, and the text of each value.
func members(line []byte) (keys []string, values []json.RawMessage, err error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return nil, nil, errNoObject
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("read object: %w", err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, nil, fmt.Errorf("read object: %w", err)
		}
		name, _ := key.(string) // the key of an object is a string
		keys, values = append(keys, name), append(values, value)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, nil, fmt.Errorf("read object: %w", err)
	}
	return keys, values, nil
}

// checkColumns checks the flag --columns.
func (e *export) checkColumns() error {
	if len(e.columns) > 0 && !isCSV(e.output) {
		return app.Usage("--columns is for an --output that ends in .csv")
	}
	for i, name := range e.columns {
		if name == "" || slices.Contains(e.columns[:i], name) {
			return app.Usage("--columns: %q is empty or named twice: list each key once, with commas between", name)
		}
	}
	return nil
}

// convert writes the objects of a complete download as CSV to a file beside it, and removes the download. If that fails,
// no file is left.
func (e *export) convert(part string) (made string, err error) {
	in, err := os.Open(part)
	if err != nil {
		return "", fmt.Errorf("open download: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close(), os.Remove(part)) }()
	made = part + ".csv"
	out, err := os.OpenFile(made, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // the umask decides who else may read results
	if err != nil {
		return "", fmt.Errorf("open file for the rows: %w", err)
	}
	err = writeCSV(out, in, e.columns)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", fmt.Errorf("write %s: %w", e.output, errors.Join(err, os.Remove(made)))
	}
	return made, nil
}

// field returns a value as the text of a field: a string without quotes, null as nothing, and any other value as JSON.
func field(value json.RawMessage) (text string, err error) {
	switch {
	case bytes.Equal(value, []byte("null")):
		return "", nil
	case value[0] == '"':
		if err := json.Unmarshal(value, &text); err != nil {
			return "", fmt.Errorf("read string: %w", err)
		}
		return text, nil
	}
	return string(value), nil
}
