package source

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	_ "modernc.org/sqlite" // registers the driver

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/spelling"
)

const sqliteForm = "sqlite:FILE?query=SELECT …&key=COLUMN"

// sqliteFile is an SQLite database.
type sqliteFile struct{ path string }

var ownOptions = regexp.MustCompile(`\?(?:query|key)=`)

// parseSQLite reads sqlite:FILE?query=…&key=…. The file must exist unless replay is set.
func parseSQLite(spec string, replay bool) (*database, error) {
	path := strings.TrimPrefix(spec, "sqlite:")
	at := ownOptions.FindStringIndex(path)
	if at == nil {
		return nil, errors.New("the query is missing; use " + sqliteForm)
	}
	path, options := path[:at[0]], path[at[0]+1:]
	query, key, others, err := cutQuery(options, sqliteForm)
	switch {
	case err != nil:
		return nil, err
	case len(others) > 0:
		return nil, fmt.Errorf(`there is no option %q%suse query and key, and write "&" in the query as %%26`, others[0].name, spelling.Hint(others[0].name, []string{"query", "key"}))
	case path == "":
		return nil, errors.New("the file is missing; use " + sqliteForm)
	}
	if info, err := os.Stat(path); !replay && (err != nil || info.IsDir()) {
		if err == nil {
			err = errors.New("it is a directory")
		}
		return nil, fmt.Errorf("open database %q: %w; use %s", path, cause(err), sqliteForm)
	}
	return &database{engine: sqliteFile{path}, text: spec, query: query, key: key}, nil
}

// open opens the file for reading only. It waits for a writer that is about to commit.
func (f sqliteFile) open() (*sql.DB, error) {
	path, err := filepath.Abs(f.path)
	if err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_pragma=busy_timeout(30000)"}
	return sql.Open("sqlite", name.String())
}

func (sqliteFile) statements() []string    { return nil }
func (sqliteFile) conceal(err error) error { return err }

// ordered selects +COLUMN, which is the value as stored: the driver converts values of columns that are declared as
// dates or booleans.
func (sqliteFile) ordered(q *database, columns []*sql.ColumnType) (string, readRow) {
	list, names := make([]string, len(columns)), make([][]byte, len(columns))
	values, pointers := make([]any, len(columns)), make([]any, len(columns))
	key := 0
	for i, column := range columns {
		list[i] = "+q." + quoted(column.Name())
		names[i] = chunk.AppendText(nil, []byte(column.Name()))
		pointers[i] = &values[i]
		if column.Name() == q.key {
			key = i
		}
	}
	statement := fmt.Sprintf("SELECT %s FROM %s ORDER BY q.%s COLLATE BINARY", strings.Join(list, ", "), q.within(), quoted(q.key))
	return statement, func(rows *sql.Rows, b []byte) ([]byte, sql.NullString, error) {
		if err := rows.Scan(pointers...); err != nil {
			return b, sql.NullString{}, err
		}
		var text sql.NullString
		for i, value := range values {
			b = append(append(append(b, "{,"[min(i, 1)]), names[i]...), ':')
			start := len(b)
			var err error
			if b, err = appendValue(b, value); err != nil {
				return b, text, fmt.Errorf("column %s of the row with %s = %.100s: %w", columns[i].Name(), q.key, fmt.Sprint(values[key]), err)
			}
			if i == key {
				text = sql.NullString{String: string(b[start:]), Valid: value != nil}
			}
		}
		return append(b, '}'), text, nil
	}
}

// appendValue appends a value of SQLite's storage classes as JSON.
func appendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		return appendReal(b, v), nil
	case string:
		if !utf8.ValidString(v) {
			return b, errors.New("the text is not UTF-8; select it as CAST(… AS BLOB), which becomes base64")
		}
		return chunk.AppendText(b, []byte(v)), nil
	case []byte:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v)
		return append(b, '"'), nil
	}
	return b, fmt.Errorf("the driver returns a %T", value)
}

// appendReal appends a REAL, with a point or an exponent to distinguish it from an INTEGER.
func appendReal(b []byte, v float64) []byte {
	start := len(b)
	b = appendFloat(b, v, 64)
	if !bytes.ContainsAny(b[start:], `.e"`) {
		b = append(b, ".0"...)
	}
	return b
}
