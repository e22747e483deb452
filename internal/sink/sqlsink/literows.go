package sqlsink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// liteRows is a table of the user in SQLite. SQLite columns do not enforce types, so JSON values become the nearest
// type: numbers INTEGER or REAL, booleans 0 or 1, arrays and objects their JSON text.
type liteRows struct{ *table }

func (w liteRows) insert() string {
	return "INSERT INTO " + w.quoted + " (" + quoteNames(w.columns) + ") VALUES "
}

func (w liteRows) probe(ctx context.Context, from querier, mode string) error {
	nulls := "(" + strings.TrimSuffix(strings.Repeat("NULL,", len(w.columns)), ",") + ")"
	return each(ctx, from, "EXPLAIN "+w.insert()+nulls+w.conflict(mode), nil, func(func(...any) error) error { return nil })
}

func (w liteRows) put(ctx context.Context, t *tx, objects []object) error {
	var rows [][]any
	for _, o := range objects {
		for _, line := range o.outputs {
			row, err := w.row(line, w.columns)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
	}
	return insertRows(ctx, t, w.insert(), w.conflict(w.mode), len(w.columns), rows)
}

func (w liteRows) take(ctx context.Context, t *tx, objects []object) error {
	var conditions []string
	for _, k := range w.key {
		conditions = append(conditions, quoteName(k)+" = ?")
	}
	for _, o := range objects {
		for _, line := range o.outputs {
			row, err := w.row(line, w.key)
			if err != nil {
				return err
			}
			if _, err := t.ExecContext(ctx, "DELETE FROM "+w.quoted+" WHERE "+strings.Join(conditions, " AND "), row...); err != nil {
				return fmt.Errorf("remove rows of table %s: %w", w.name, err)
			}
		}
	}
	return nil
}

// row returns the values of columns in an output.
func (w liteRows) row(line []byte, columns []string) ([]any, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, fmt.Errorf("decode output: %w", err)
	}
	row := make([]any, len(columns))
	for i, c := range columns {
		value, err := liteValue(fields[w.keyOf(c)])
		if err != nil {
			return nil, fmt.Errorf("decode output: %w", err)
		}
		row[i] = value
	}
	return row, nil
}

// liteValue converts a JSON value for SQLite. A number that neither type represents exactly stays text.
func liteValue(raw json.RawMessage) (any, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	switch raw[0] {
	case 't':
		return int64(1), nil
	case 'f':
		return int64(0), nil
	case '"':
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	case '{', '[':
		return string(raw), nil
	}
	text := string(raw)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && strconv.FormatFloat(f, 'f', -1, 64) == text {
		return f, nil
	}
	return text, nil
}
