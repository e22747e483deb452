package tabular

import (
	"bytes"
	"io"
)

// A csvWriter writes each row with one write, so w should be buffered.
type csvWriter struct {
	w       io.Writer
	columns *Columns
	values  [][]byte
	row     []byte
}

// newCSVWriter writes the names of the columns. A table without columns is an empty file.
func newCSVWriter(w io.Writer, c *Columns) (*csvWriter, error) {
	t := &csvWriter{w: w, columns: c, values: make([][]byte, len(c.list))}
	if len(c.list) == 0 {
		return t, nil
	}
	for _, name := range c.Names() {
		t.field([]byte(name))
	}
	return t, t.end()
}

// Row implements Writer.
func (t *csvWriter) Row(line []byte) error {
	if err := t.columns.arrange(t.values, line); err != nil {
		return err
	}
	for _, value := range t.values {
		switch {
		case value == nil || value[0] == 'n':
			t.field(nil)
		case value[0] == '"':
			decoded, _ := text(value)
			t.field(decoded)
		default:
			t.field(value)
		}
	}
	return t.end()
}

// field appends a field and its comma. A field with white space around it is quoted, because some programs trim it, and
// so is \. alone, which ends the data of PostgreSQL's COPY.
func (t *csvWriter) field(text []byte) {
	if bytes.ContainsAny(text, "\",\r\n") || len(bytes.TrimSpace(text)) < len(text) || string(text) == `\.` {
		t.row = append(t.row, '"')
		t.row = append(t.row, bytes.ReplaceAll(text, []byte(`"`), []byte(`""`))...)
		t.row = append(t.row, '"', ',')
		return
	}
	t.row = append(append(t.row, text...), ',')
}

// end replaces the last comma by the end of the row, and writes the row.
func (t *csvWriter) end() error {
	t.row = t.row[:len(t.row)-1]
	if len(t.row) == 0 { // the only field is empty, and programs skip empty lines
		t.row = append(t.row, `""`...)
	}
	t.row = append(t.row, '\n')
	_, err := t.w.Write(t.row)
	t.row = t.row[:0]
	return err
}

// Flush implements Writer.
func (*csvWriter) Flush() error { return nil }

// Close implements Writer.
func (*csvWriter) Close() error { return nil }
