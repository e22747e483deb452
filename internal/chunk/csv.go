package chunk

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Table describes how the rows of a CSV stream become objects. The zero value is a table with commas, quotes, a
// header, and strings only.
type Table struct {
	Delimiter byte         // between fields, an ASCII character; 0 means ','
	Unquoted  bool         // a quote is an ordinary character, and every line is a row
	NoHeader  bool         // the first row is an object; Columns must be set
	Columns   []string     // the names of the columns; nil means those of the header
	Auto      bool         // the type of a column that Types does not name is Auto, not String
	Types     []ColumnType // the types of single columns
	Null      *string      // a field with this text is null; nil means none
}

// A ColumnType is the type of the values in a column.
type ColumnType struct {
	Column string
	Type   ValueType
}

// ValueType says which JSON value a field becomes. Numbers keep their digits. Quotes around a field make no difference.
type ValueType uint8

const (
	// StringValue is a string, also if the field is empty.
	StringValue ValueType = iota
	// AutoValue is a number or a bool if the field is one, null if it is empty, and otherwise a string.
	AutoValue
	// IntValue is a number without fraction and exponent. It and the following types are null if the field is empty,
	// and ignore white space around the value.
	IntValue
	// FloatValue is any JSON number.
	FloatValue
	// BoolValue is true or false, in upper or lower case.
	BoolValue
)

var valueTypes = [...]string{StringValue: "string", AutoValue: "auto", IntValue: "int", FloatValue: "float", BoolValue: "bool"}

// String returns the name of the type.
func (v ValueType) String() string { return valueTypes[v] }

// ParseValueType parses the name of a type.
func ParseValueType(word string) (ValueType, error) {
	if i := slices.Index(valueTypes[:], word); i >= 0 {
		return ValueType(i), nil
	}
	return StringValue, fmt.Errorf("type %q: use %s", word, strings.Join(valueTypes[:], ", "))
}

// ReadColumns returns the names of the columns of a stream from its beginning, and io.EOF if it is empty.
func (t Table) ReadColumns(r io.Reader) ([]string, error) {
	s := NewScanner(r, ScanOptions{Format: CSV, Table: t, Buffer: 16 << 10})
	if err := s.detect(); err != nil {
		return nil, err
	}
	return s.rows.columns, nil
}

// rows turns the rows of a table into objects.
type rows struct {
	Table
	columns []string
	keys    []string // what precedes each value in an object: `{"a":`, `,"b":`
	types   []ValueType
	edge    rowEdge
	object  []byte // the last object
	text    []byte // of a field with doubled quotes
}

func newRows(t Table) *rows {
	if t.Delimiter == 0 {
		t.Delimiter = ','
	}
	r := &rows{Table: t, edge: rowEdge{delimiter: t.Delimiter, unquoted: t.Unquoted}}
	r.name(t.Columns)
	return r
}

// name sets the names of the columns.
func (r *rows) name(columns []string) {
	r.columns, r.keys, r.types = columns, make([]string, len(columns)), make([]ValueType, len(columns))
	for i, column := range columns {
		r.keys[i] = string(append(AppendText([]byte{"{,"[min(i, 1)]}, []byte(column)), ':'))
		if r.Auto {
			r.types[i] = AutoValue
		}
		for _, t := range r.Types {
			if t.Column == column {
				r.types[i] = t.Type
			}
		}
	}
}

// check returns an error if the columns cannot be used.
func (r *rows) check() error {
	known := make(map[string]bool, len(r.columns))
	for _, column := range r.columns {
		if known[column] {
			return inputError("two columns are called %.100q; give other names with header=yes and columns=…", column)
		}
		known[column] = true
	}
	for _, t := range r.Types {
		if !known[t.Column] {
			return inputError("types: there is no column %.100q; the columns are %.100q", t.Column, r.columns[:min(len(r.columns), 20)])
		}
	}
	return nil
}

// beginRows reads the header, if there is one, and sets the phase.
func (s *Scanner) beginRows() error {
	at := s.place
	if !s.rows.NoHeader {
		names, err := s.header()
		switch {
		case err != nil:
			s.place = at
			return err
		case s.rows.Columns == nil:
			s.rows.name(names)
		case len(names) != len(s.rows.Columns):
			s.place = at
			return inputError("the header has %d columns, and columns= has %d names", len(names), len(s.rows.Columns))
		}
	}
	if err := s.rows.check(); err != nil {
		s.place = at
		return err
	}
	s.place.phase = inRows
	return nil
}

// header consumes the first row that is not empty and returns its fields.
func (s *Scanner) header() ([]string, error) {
	for {
		row, left, err := s.consumeRow()
		switch {
		case err != nil:
			return nil, err
		case left != nil:
			return nil, inputError("the header is larger than %d bytes", s.max)
		case len(row) == 0:
			continue
		case !utf8.Valid(row):
			return nil, inputError("the header is not valid UTF-8; convert the file, for instance with iconv")
		case !s.rows.edge.quotes && bytes.IndexByte(row, '\r') >= 0:
			return nil, inputError("the lines end with CR alone; convert them to LF or CRLF")
		}
		var names []string
		problem := s.rows.split(row, func(_ int, field []byte) string {
			names = append(names, string(field))
			return ""
		})
		if problem != "" {
			return nil, inputError("header: %s", problem)
		}
		if i := strings.IndexAny(names[0], ",;\t|"); i >= 0 && len(names) == 1 && s.rows.Columns == nil {
			return nil, inputError("the header is one column, %.100q; is %q the delimiter? Use delimiter=, or header=yes and columns= if it is one column", names[0], names[0][i])
		}
		return names, nil
	}
}

// nextRow returns the next row that is not empty, as an object.
func (s *Scanner) nextRow() (Object, error) {
	for {
		at := s.place
		row, left, err := s.consumeRow()
		switch {
		case err != nil:
			return Object{}, err
		case left != nil:
			return s.tooLarge(at, left), nil
		case len(row) == 0:
			continue
		}
		problem := s.rows.convert(row)
		switch {
		case problem == "" && len(s.rows.object) <= s.max:
			return Object{Bytes: s.rows.object}, nil
		case problem == "":
			left := newOmitted("", 0)
			left.add(row)
			return s.tooLarge(at, left), nil
		case s.buf[s.start-1] != '\n':
			s.place = at
			s.readErr = inputError("the input ends in the middle of a row (%s); the program that writes it may have stopped early; "+
				"if the input is complete, end it with a line break, and the row becomes a dead letter", problem)
			return Object{}, s.readErr
		}
		joinLines(row)
		return Object{Bytes: row, Flaw: s.where(at) + ": " + problem}, nil
	}
}

// consumeRow consumes a row and returns it without its line break. If the row is longer than the limit, it returns only
// size and hash.
func (s *Scanner) consumeRow() (row []byte, left *omitted, err error) {
	at, edge := s.place, &s.rows.edge
	row, left, err = s.consumeTo(edge)
	switch {
	case err != nil:
		return nil, nil, err
	case edge.in == inQuotes: // the stream has ended
		s.place = at
		s.readErr = inputError("the input ends in a quoted field of the row that begins in %s; a quote is missing, or the program that writes it stopped early; "+
			"if a quote is an ordinary character in this file, use quote=none", s.where(at))
		return nil, nil, s.readErr
	case edge.quotes:
		s.place.Line += int64(bytes.Count(row, newline))
	}
	return row, left, nil
}

// convert makes the object of a row, or returns the problem of the row. It stops when the object exceeds the limit for
// objects.
func (r *rows) convert(row []byte) (problem string) {
	if !utf8.Valid(row) {
		return fmt.Sprintf("not valid UTF-8 (byte %d of the row)", firstInvalid(row)+1)
	}
	if cap(r.object) > shrinkAbove {
		r.object = nil
	}
	r.object = r.object[:0]
	fields := 0
	problem = r.split(row, func(i int, field []byte) string {
		fields++
		if i >= len(r.keys) || len(r.object) > MaxObject {
			return ""
		}
		r.object = append(r.object, r.keys[i]...)
		var ok bool
		if r.object, ok = r.appendValue(r.object, field, r.types[i]); !ok {
			return fmt.Sprintf("column %q: %.40q is not of the type %s", r.columns[i], field, r.types[i])
		}
		return ""
	})
	r.object = append(r.object, '}')
	if problem == "" && fields != len(r.columns) {
		return fmt.Sprintf("the row has %d fields, and the table %d columns", fields, len(r.columns))
	}
	return problem
}

// split calls do for each field of a row, until it returns a problem.
func (r *rows) split(row []byte, do func(i int, field []byte) (problem string)) (problem string) {
	for i, at := 0, 0; ; i++ {
		field, end, problem := r.field(row, at)
		if problem == "" {
			problem = do(i, field)
		} else {
			problem = fmt.Sprintf("field %d: %s", i+1, problem)
		}
		if problem != "" || end == len(row) {
			return problem
		}
		at = end + 1
	}
}

// field returns the text of the field at index i of a row and the index after it.
func (r *rows) field(row []byte, i int) (text []byte, end int, problem string) {
	if r.edge.quotes && i < len(row) && row[i] == '"' {
		return r.quoted(row, i+1)
	}
	end = len(row)
	if n := bytes.IndexByte(row[i:], r.Delimiter); n >= 0 {
		end = i + n
	}
	text = row[i:end]
	if r.edge.quotes && bytes.IndexByte(text, '"') >= 0 {
		return nil, end, "a quote in a field that is not quoted; if a quote is an ordinary character in this file, use quote=none"
	}
	return text, end, ""
}

// quoted is field for the text after an opening quote.
func (r *rows) quoted(row []byte, i int) (text []byte, end int, problem string) {
	r.text = r.text[:0]
	for first := i; ; {
		n := bytes.IndexByte(row[i:], '"')
		if n < 0 { // the row has ended at a quote before
			return nil, len(row), "a quote is missing"
		}
		end = i + n + 1
		switch {
		case end < len(row) && row[end] == '"':
			r.text = append(r.text, row[first:end]...)
			i, first = end+1, end+1
			continue
		case end < len(row) && row[end] != r.Delimiter:
			return nil, end, "text follows the quote that ends the field; a quote in a quoted field is written twice"
		case len(r.text) == 0:
			return row[first : end-1], end, ""
		}
		r.text = append(r.text, row[first:end-1]...)
		return r.text, end, ""
	}
}

// appendValue appends a field as a JSON value, unless it is not of the type.
func (r *rows) appendValue(dst, field []byte, as ValueType) (_ []byte, ok bool) {
	if r.Null != nil && string(field) == *r.Null {
		return append(dst, "null"...), true
	}
	switch as {
	case StringValue:
		return AppendText(dst, field), true
	case AutoValue:
		switch {
		case len(field) == 0:
			return append(dst, "null"...), true
		case isNumber(field):
			return append(dst, field...), true
		case isBool(field):
			return append(dst, bytes.ToLower(field)...), true
		}
		return AppendText(dst, field), true
	case IntValue, FloatValue, BoolValue:
	}
	field = bytes.TrimSpace(field)
	switch {
	case len(field) == 0:
		return append(dst, "null"...), true
	case as == BoolValue && isBool(field):
		return append(dst, bytes.ToLower(field)...), true
	case as == FloatValue && isNumber(field), as == IntValue && isNumber(field) && !bytes.ContainsAny(field, ".eE"):
		return append(dst, field...), true
	}
	return dst, false
}

func isNumber(b []byte) bool { return NumberEnd(b, 0) == len(b) }

func isBool(b []byte) bool {
	return bytes.EqualFold(b, []byte("true")) || bytes.EqualFold(b, []byte("false"))
}

// inRow is where in a row the next byte is.
type inRow uint8

const (
	atField    inRow = iota // at the beginning of a field
	inField                 // in a field without quotes
	inQuotes                // in a quoted field
	afterQuote              // after a quote in it: the end, or the first of two
	afterField              // after text that follows the end: the row ends with the line
)

// A rowEdge finds the line break that ends a row. A line break in a quoted field does not.
type rowEdge struct {
	delimiter byte
	unquoted  bool
	in        inRow
	quotes    bool // the row has a quote
}

func (e *rowEdge) reset() { e.in, e.quotes = atField, false }

// find continues in b where the last call ended. It returns the index of the line break, or -1 if it is not in b.
func (e *rowEdge) find(b []byte) int {
	if e.in <= inField { // the usual case is a line without quotes
		n := bytes.IndexByte(b, '\n')
		if e.unquoted || n >= 0 && bytes.IndexByte(b[:n], '"') < 0 {
			return n
		}
	}
	for i := 0; i < len(b); i++ {
		if e.in == inQuotes {
			n := bytes.IndexByte(b[i:], '"')
			if n < 0 {
				return -1
			}
			i += n
			e.in = afterQuote
			continue
		}
		switch c := b[i]; {
		case c == '\n':
			return i
		case e.in == afterField:
		case c == '"':
			e.quotes = true
			if e.in == atField || e.in == afterQuote {
				e.in = inQuotes
			}
		case c == e.delimiter:
			e.in = atField
		case e.in == afterQuote:
			e.in = afterField
		default:
			e.in = inField
		}
	}
	return -1
}
