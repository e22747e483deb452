package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/chunkline/chunkline/internal/sink"
)

// busy is how long a statement waits for another process's transaction, in milliseconds.
const busy = 10_000

// openSQLite opens the file of a database.
func openSQLite(ctx context.Context, path string, o Options) (*sql.DB, string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, "sqlite", fmt.Errorf("%w: %w", sink.ErrUnreachable, err)
	}
	at := "sqlite:" + path
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist) && (o.ReadOnly || o.Existing):
		return nil, at, fmt.Errorf("there is no such file: %w", sink.ErrSettings)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, at, fmt.Errorf("%w: %w", sink.ErrUnreachable, err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return nil, at, fmt.Errorf("there is no folder %s: %w", filepath.Dir(path), sink.ErrUnreachable)
	}
	// A transaction takes the lock when it begins, because upgrading a read lock later can fail. fullfsync is for
	// macOS, where fsync leaves data in the drive's cache.
	query := fmt.Sprintf("?_txlock=immediate&_pragma=busy_timeout(%d)&_pragma=foreign_keys(1)&_pragma=synchronous(FULL)&_pragma=fullfsync(1)&_pragma=checkpoint_fullfsync(1)", busy)
	if o.ReadOnly {
		query += "&_pragma=query_only(1)"
	} else {
		query += "&_pragma=journal_mode(WAL)"
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+query)
	if err != nil {
		return nil, at, fmt.Errorf("%w: %w", sink.ErrUnreachable, err)
	}
	if !o.ReadOnly {
		err = checkSQLite(ctx, db)
	}
	if err != nil {
		return nil, at, errors.Join(err, db.Close())
	}
	return db, at, nil
}

// checkSQLite reads back the settings on which durability depends.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	for _, want := range []struct{ pragma, value, means string }{
		{"journal_mode", "wal", "wal"},
		{"synchronous", "2", "FULL"},
	} {
		var is string
		if err := db.QueryRowContext(ctx, "PRAGMA "+want.pragma).Scan(&is); err != nil {
			return err
		}
		if is != want.value {
			return fmt.Errorf("SQLite has %s = %s and cannot set it to %s: use a file on a local disk: %w", want.pragma, is, want.means, sink.ErrSettings)
		}
	}
	return nil
}

// liteDialect is SQLite.
type liteDialect struct{}

func (liteDialect) text(query string) string             { return strings.ReplaceAll(query, "$", "?") }
func (liteDialect) types() columnTypes                   { return columnTypes{bytes: "BLOB", json: "TEXT"} }
func (liteDialect) isolation() sql.IsolationLevel        { return sql.LevelDefault }
func (liteDialect) lockRow() string                      { return "" } // the transaction locks the whole file
func (liteDialect) placer(t *table) (tablePlacer, error) { return liteRows{t}, nil }

func (liteDialect) awaitReplication(context.Context, *sql.DB) error { return nil }

func (liteDialect) inList(column, param string) string {
	return column + " IN (SELECT value FROM json_each(" + param + "))"
}

func (liteDialect) before() string {
	return `SELECT p.chunk, p.first + p.objects FROM json_each($2) AS e LEFT JOIN progress AS p ON p.job = $1
		AND p.first = (SELECT MAX(first) FROM progress WHERE job = $1 AND first < e.value) ORDER BY e.key`
}

func (liteDialect) columns(ctx context.Context, from querier, table string) ([]column, error) {
	return readColumns(ctx, from, table, "SELECT name, type FROM pragma_table_xinfo(?1)", unquoteName(table))
}

func (liteDialect) checkTable(ctx context.Context, from querier, table string) error {
	var kind string
	err := from.QueryRowContext(ctx, "SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')", unquoteName(table)).Scan(&kind)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("there is no table %s: %w", table, sink.ErrSettings)
	}
	if err == nil && kind != "table" {
		return fmt.Errorf("%s is a %s: name a table: %w", table, kind, sink.ErrSettings)
	}
	return err
}

const (
	// rowsOfStatement is how many rows one statement inserts, unless they have too many columns. More rows are no
	// faster.
	rowsOfStatement = 100

	// mostParameters is how many parameters SQLite allows in a statement.
	mostParameters = 32766
)

func (liteDialect) insert(ctx context.Context, t *tx, table string, columns []string, rows [][]any) error {
	return insertRows(ctx, t, "INSERT INTO "+quoteName(table)+" ("+quoteNames(columns)+") VALUES ", "", len(columns), rows)
}

// insertRows inserts rows by multi-row statements: begin, the rows, and end.
func insertRows(ctx context.Context, t *tx, begin, end string, columns int, rows [][]any) error {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	most := min(rowsOfStatement, mostParameters/columns)
	args := make([]any, 0, most*columns)
	var many *sql.Stmt
	for len(rows) > 0 {
		some := rows[:min(len(rows), most)]
		rows = rows[len(some):]
		args = args[:0]
		for _, r := range some {
			args = append(args, r...)
		}
		query := begin + strings.TrimSuffix(strings.Repeat(row+",", len(some)), ",") + end
		if len(some) < most {
			if _, err := t.ExecContext(ctx, query, args...); err != nil {
				return err
			}
			continue
		}
		if many == nil {
			var err error
			if many, err = t.PrepareContext(ctx, query); err != nil {
				return err
			}
			defer func() { _ = many.Close() }() // closing has no useful error
		}
		if _, err := many.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// errForeignKey stands for the error that SQLite would return for a deferred foreign key when it commits.
var errForeignKey = errors.New("FOREIGN KEY constraint failed: a row that is referred to is missing")

// release asks SQLite whether a foreign key still lacks its row. Only foreign keys can be deferred in SQLite.
func (liteDialect) release(ctx context.Context, t *tx) error {
	err := t.conn.Raw(func(connection any) error {
		waiting, _, err := connection.(sqlite.DBStatus).Status(sqlite.DBStatusDeferredFKs, false)
		if err == nil && waiting != 0 {
			err = errForeignKey
		}
		return err
	})
	if err == nil {
		_, err = t.ExecContext(ctx, "RELEASE SAVEPOINT attempt")
	}
	return err
}

func (liteDialect) lacksRow(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return errors.Is(err, errForeignKey) || ok && e.Code() == lib.SQLITE_CONSTRAINT_FOREIGNKEY
}

func (liteDialect) foreignKeysTo(ctx context.Context, from querier, table string) (string, error) {
	keys, err := texts(ctx, from, `SELECT m.name || ' (' || group_concat(f."from", ', ') || ')' FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f
		WHERE m.type = 'table' AND f."table" = ?1 COLLATE NOCASE GROUP BY m.name, f.id ORDER BY m.name, f.id`, table)
	return "; foreign keys to it: " + strings.Join(keys, ", "), err
}

func (liteDialect) classify(err error) class {
	if errors.Is(err, errForeignKey) {
		return misfit
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return unexpected
	}
	switch e.Code() & 0xff { // without the extended code
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_INTERRUPT:
		return away
	case lib.SQLITE_FULL:
		return full
	case lib.SQLITE_CONSTRAINT, lib.SQLITE_MISMATCH, lib.SQLITE_TOOBIG:
		return misfit
	case lib.SQLITE_CANTOPEN, lib.SQLITE_PERM, lib.SQLITE_READONLY, lib.SQLITE_NOTADB:
		return settings
	case lib.SQLITE_CORRUPT:
		return damaged
	}
	return unexpected
}

func (liteDialect) reason(err error) string {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Error()
	}
	return err.Error()
}

// unquoteName undoes quoteName.
func unquoteName(quoted string) string {
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `""`, `"`)
}

func (liteDialect) lockMaking(context.Context, *tx) error { return nil } // the transaction has the lock
