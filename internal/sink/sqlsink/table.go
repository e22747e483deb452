package sqlsink

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/sink"
)

// What happens to an output whose key is already in the table.
const (
	modeInsert = "insert" // the output does not fit
	modeIgnore = "ignore" // the row in the table stays
	modeUpsert = "upsert" // the output replaces the row
)

// A table is a table of the user. Each output is a JSON object and becomes a row.
type table struct {
	name    string   // as the user wrote it; a dot separates schema and table
	quoted  string   // for SQL
	keys    []string // of the JSON objects; a missing one is NULL
	columns []string // of the table; keys[i] goes to columns[i]
	kinds   []string // their types
	key     []string // columns that identify a row
	mode    string
}

// openTable reads the settings of a table of the user and checks them against the database. It returns nil without such
// settings.
func (s *Sink) openTable(ctx context.Context, from querier, values url.Values) (*table, error) {
	if len(values) == 0 {
		return nil, nil
	}
	t, err := parseTable(values)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, sink.ErrSettings)
	}
	for i, part := range strings.Split(t.name, ".") {
		if i > 0 {
			t.quoted += "."
		}
		t.quoted += quoteName(part)
	}
	if err := s.dialect.checkTable(ctx, from, t.quoted); err != nil {
		return nil, err
	}
	have, err := s.dialect.columns(ctx, from, t.quoted)
	if err != nil {
		return nil, err
	}
	if err := t.match(have); err != nil {
		return nil, fmt.Errorf("%w: %w", err, sink.ErrSettings)
	}
	if s.readOnly {
		return t, nil
	}
	rows, err := s.dialect.placer(t)
	if err != nil {
		return nil, err
	}
	if err := rows.probe(ctx, from, t.mode); err != nil {
		return nil, fmt.Errorf("table %s cannot be written to with these settings: %s: %w", t.name, s.dialect.reason(err), sink.ErrSettings)
	}
	if t.mode != modeInsert || len(t.key) == 0 {
		return t, nil
	}
	// With another mode the database has refused a key that several rows may have. redo would delete all of them.
	if err := rows.probe(ctx, from, modeIgnore); err != nil {
		return nil, fmt.Errorf("key=%s does not identify a row of table %s: make these columns UNIQUE, or leave key out, and redo will not work: %s: %w",
			strings.Join(t.key, ","), t.name, s.dialect.reason(err), sink.ErrSettings)
	}
	return t, nil
}

func parseTable(values url.Values) (*table, error) {
	t := &table{name: values.Get("table"), mode: values.Get("mode")}
	switch {
	case t.name == "":
		return nil, fmt.Errorf("columns, key and mode are for table: add table=NAME")
	case values.Get("columns") == "":
		return nil, fmt.Errorf("columns is not set: list the JSON keys to store, as columns=id,name:full_name for the columns id and full_name")
	}
	for field := range strings.SplitSeq(values.Get("columns"), ",") {
		key, column, renamed := strings.Cut(field, ":")
		if !renamed {
			column = key
		}
		if key == "" || column == "" || slices.Contains(t.columns, column) {
			return nil, fmt.Errorf("columns=%s: write KEY or KEY:COLUMN, with commas between, and each column once", values.Get("columns"))
		}
		t.keys, t.columns = append(t.keys, key), append(t.columns, column)
	}
	if key := values.Get("key"); key != "" {
		t.key = strings.Split(key, ",")
	}
	for _, column := range t.key {
		if !slices.Contains(t.columns, column) {
			return nil, fmt.Errorf("key=%s: column %s is not among columns", values.Get("key"), column)
		}
	}
	switch t.mode {
	case "":
		t.mode = modeInsert
	case modeInsert, modeIgnore:
	case modeUpsert:
		if len(t.key) == 0 {
			return nil, fmt.Errorf("mode=upsert needs key: name the columns that tell rows apart, as key=id")
		}
	default:
		return nil, fmt.Errorf("mode=%s: use insert, ignore or upsert", t.mode)
	}
	return t, nil
}

// match checks that the table has the columns, and finds their types.
func (t *table) match(have []column) error {
	names := make([]string, len(have))
	for i, c := range have {
		names[i] = c.name
	}
	for _, wanted := range t.columns {
		i := slices.Index(names, wanted)
		if i < 0 {
			return fmt.Errorf("table %s has no column %s; it has %s", t.name, wanted, strings.Join(names, ", "))
		}
		t.kinds = append(t.kinds, have[i].kind)
	}
	return nil
}

// canTake returns an error unless the key identifies exactly the rows of an object, so that they can be removed or
// replaced.
func (t *table) canTake(o object) error {
	switch {
	case len(o.outputs) == 0:
		return nil
	case t.mode == modeIgnore:
		return fmt.Errorf("with mode=ignore it is not recorded which rows of table %s the job made: remove them by hand, and use another job: %w", t.name, sink.ErrSettings)
	case len(t.key) == 0:
		return fmt.Errorf("the rows of table %s cannot be found without a key: add key=COLUMN: %w", t.name, sink.ErrSettings)
	}
	for _, line := range o.outputs {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(line, &fields); err != nil {
			return fmt.Errorf("decode output of object %d: %w", o.ordinal(), err)
		}
		for _, column := range t.key {
			if value := fields[t.keyOf(column)]; len(value) == 0 || string(value) == "null" {
				return fmt.Errorf("the row of object %d in table %s has no %s, so its key does not find it: use another job, and remove this job's rows by hand: %w",
					o.ordinal(), t.name, column, sink.ErrSettings)
			}
		}
	}
	return nil
}

// keyOf returns the JSON key that goes to a column.
func (t *table) keyOf(column string) string { return t.keys[slices.Index(t.columns, column)] }

// conflict returns the ON CONFLICT clause for a mode.
func (t *table) conflict(mode string) string {
	if mode == modeInsert {
		return ""
	}
	clause := " ON CONFLICT"
	if len(t.key) > 0 {
		clause += " (" + quoteNames(t.key) + ")"
	}
	var set []string
	for _, c := range t.columns {
		if !slices.Contains(t.key, c) {
			set = append(set, quoteName(c)+" = EXCLUDED."+quoteName(c))
		}
	}
	if mode == modeIgnore || len(set) == 0 {
		return clause + " DO NOTHING"
	}
	return clause + " DO UPDATE SET " + strings.Join(set, ", ")
}
