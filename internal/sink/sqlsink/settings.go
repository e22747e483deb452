package sqlsink

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/sink"
)

// tableSettings are the settings of a table of the user with which a job was begun. The job's row keeps them. The zero
// value stands for chunkline's own table outputs.
//
// They say which rows belong to the job: with other columns, another key or another mode, redo could delete rows that
// were there before, and continuing the job could overwrite them.
type tableSettings struct {
	Table   string `json:"table"`
	Columns string `json:"columns"` // as in the URL, but sorted, because their order has no effect
	Key     string `json:"key"`     // likewise
	Mode    string `json:"mode"`
}

// settings returns the settings of t; t may be nil.
func (t *table) settings() tableSettings {
	if t == nil {
		return tableSettings{}
	}
	fields := make([]string, len(t.columns))
	for i, column := range t.columns {
		fields[i] = column
		if t.keys[i] != column {
			fields[i] = t.keys[i] + ":" + column
		}
	}
	list := func(names []string) string { return strings.Join(slices.Sorted(slices.Values(names)), ",") }
	return tableSettings{Table: t.name, Columns: list(fields), Key: list(t.key), Mode: t.mode}
}

// encode returns the text for the job's row; "" for the zero value.
func (o tableSettings) encode() (string, error) {
	if o == (tableSettings{}) {
		return "", nil
	}
	text, err := json.Marshal(o)
	return string(text), err
}

// decodeSettings decodes the output of encode. Early builds recorded only the name of the table.
func decodeSettings(text string) (o tableSettings, err error) {
	if text == "" {
		return o, nil
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return o, fmt.Errorf("an early build began it with table %s and did not record columns, key and mode: use another --job or another database: %w", text, sink.ErrFormat)
	}
	return o, nil
}

// check returns an error if a job that was begun with o may not be opened with given. Two differences are harmless:
//
//   - Reading needs only the table, because the outputs are also in progress.
//   - With mode=insert a key may be added. Inserting does not use it, every row that the job inserted was new, and
//     opening checks that the key identifies a row.
func (o tableSettings) check(given tableSettings, readOnly bool) error {
	for _, setting := range []struct{ name, begun, now string }{
		{"table", o.Table, given.Table}, {"columns", o.Columns, given.Columns}, {"mode", o.Mode, given.Mode}, {"key", o.Key, given.Key},
	} {
		switch {
		case setting.begun == setting.now, readOnly && setting.name != "table":
		case setting.name == "key" && setting.begun == "" && o.Mode == modeInsert:
		default:
			words := func(value string) string {
				if value == "" {
					return "no " + setting.name
				}
				return setting.name + "=" + value
			}
			return fmt.Errorf("was begun with %s, and this has %s: use the settings that it was begun with, another --job or another database: %w",
				words(setting.begun), words(setting.now), sink.ErrSettings)
		}
	}
	return nil
}
