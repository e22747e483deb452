package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/sink"
)

// pgRows is a table of the user in PostgreSQL. The server gets the objects as one JSON array and makes rows of them
// (json_to_recordset), so values are converted by the rules of the columns' types, including arrays and composite
// types.
type pgRows struct {
	*table
	insert string // without ON CONFLICT
	remove string // "" without a key
}

// mostName is the most bytes of a name that PostgreSQL keeps.
const mostName = 63

func newPGRows(t *table) (*pgRows, error) {
	for _, k := range t.keys {
		if len(k) > mostName {
			return nil, fmt.Errorf("JSON key %s: PostgreSQL has names of %d bytes at most: rename it in the transform: %w", k, mostName, sink.ErrSettings)
		}
	}
	w := &pgRows{table: t}
	// Each output is a field, named like its JSON key, of a record with the types of the columns.
	var fields, names, keys []string
	for i, k := range t.keys {
		field := quoteName(k)
		if slices.Index(t.keys, k) == i {
			fields = append(fields, field+" "+t.kinds[i])
		}
		names = append(names, "r."+field)
	}
	for _, column := range t.key {
		keys = append(keys, "r."+quoteName(t.keyOf(column)))
	}
	records := " FROM json_to_recordset($1::json) AS r(" + strings.Join(fields, ", ") + ")"
	w.insert = "INSERT INTO " + t.quoted + " (" + quoteNames(t.columns) + ") SELECT " + strings.Join(names, ", ") + records
	if len(keys) > 0 {
		w.remove = "DELETE FROM " + t.quoted + " WHERE (" + quoteNames(t.key) + ") IN (SELECT " + strings.Join(keys, ", ") + records + ")"
	}
	return w, nil
}

func (w *pgRows) probe(ctx context.Context, from querier, mode string) error {
	if err := each(ctx, from, w.insert+w.conflict(mode), []any{"[]"}, func(func(...any) error) error { return nil }); err != nil {
		return err
	}
	if w.mode == modeInsert {
		return nil
	}
	return w.probeArbiters(ctx, from)
}

// probeArbiters returns an error if a constraint that ON CONFLICT would use is deferrable. PostgreSQL does not allow
// that, and reports it only when it inserts a row. With a key, ON CONFLICT uses the unique constraints on exactly these
// columns, otherwise all constraints.
func (w *pgRows) probeArbiters(ctx context.Context, from querier) error {
	const query = `SELECT quote_ident(conname), regexp_replace(pg_get_constraintdef(oid), ' DEFERRABLE( INITIALLY DEFERRED)?$', '') FROM pg_constraint,
		LATERAL (SELECT array_agg(attname::text) AS columns FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)) AS own
		WHERE conrelid = to_regclass($1) AND contype IN ('p', 'u', 'x') AND condeferrable
		AND ($2::text[] IS NULL OR contype <> 'x' AND columns @> $2 AND columns <@ $2) ORDER BY conname LIMIT 1`
	var name, definition string
	err := from.QueryRowContext(ctx, query, w.quoted, w.key).Scan(&name, &definition)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read constraints: %w", err)
	}
	return fmt.Errorf("mode=%s does not work with constraint %s, because it is DEFERRABLE: run ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %s %s, or use mode=insert",
		w.mode, name, w.quoted, name, name, definition)
}

func (w *pgRows) put(ctx context.Context, t *tx, objects []object) error {
	_, err := t.ExecContext(ctx, w.insert+w.conflict(w.mode), array(objects))
	return err
}

func (w *pgRows) take(ctx context.Context, t *tx, objects []object) error {
	if _, err := t.ExecContext(ctx, w.remove, array(objects)); err != nil {
		return fmt.Errorf("remove rows of table %s: %w", w.name, err)
	}
	return nil
}

// array returns a JSON array of all outputs.
func array(objects []object) string {
	var b strings.Builder
	separator := byte('[')
	for _, o := range objects {
		for _, line := range o.outputs {
			b.WriteByte(separator)
			b.Write(line)
			separator = ','
		}
	}
	if b.Len() == 0 {
		return "[]"
	}
	b.WriteByte(']')
	return b.String()
}
