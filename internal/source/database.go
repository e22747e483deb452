package source

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A database is the rows of a query, ordered by a key. One transaction reads all of them, so they are one snapshot.
type database struct {
	engine

	text  string // as the user gave it, without the password
	query string
	key   string // name of a column
}

// An engine is a kind of database.
type engine interface {
	// open opens the database for reading. It does not need to connect yet.
	open() (*sql.DB, error)

	// statements prepare a transaction for reading.
	statements() []string

	// ordered returns the statement that selects the rows of q ordered by its key, and the function that reads one row.
	ordered(q *database, columns []*sql.ColumnType) (string, readRow)

	// conceal removes secrets from an error.
	conceal(err error) error
}

// readRow appends the current row to b as a JSON object, which may span lines. Different keys give different key texts;
// key is not valid if the key is NULL.
type readRow func(rows *sql.Rows, b []byte) (object []byte, key sql.NullString, err error)

func isDatabase(spec string) bool {
	return strings.HasPrefix(spec, "sqlite:") || strings.HasPrefix(spec, "postgres://") || strings.HasPrefix(spec, "postgresql://")
}

// expandDatabase returns the file of a query, which holds JSON Lines.
func expandDatabase(o Options, spec string) ([]file, error) {
	if !o.Format.isAuto() {
		return nil, fmt.Errorf("%w: the rows of a query become JSON: leave the format out", ErrSettings)
	}
	parse := parsePostgres
	if strings.HasPrefix(spec, "sqlite:") {
		parse = parseSQLite
	}
	d, err := parse(spec, o.Replay)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	if len(d.text) > maxSpec {
		return nil, fmt.Errorf("%w: the query and its database have more than %d bytes; make a view of the query", ErrSettings, maxSpec)
	}
	return []file{{name: d.text, format: Format{kind: chunk.Lines}, stream: d}}, nil
}

// An option of a query, NAME=VALUE.
type queryOption struct{ name, raw string }

var optionName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// cutQuery splits the options after the "?" into chunkline's own and others. It decodes only percent-encoding, because
// "+" is part of SQL.
func cutQuery(options, form string) (query, key string, others []queryOption, err error) {
	own := map[string]*string{"query": &query, "key": &key}
	for pair := range strings.SplitSeq(options, "&") {
		name, raw, ok := strings.Cut(pair, "=")
		if options == "" {
			break
		}
		if !ok || !optionName.MatchString(name) {
			return "", "", nil, errors.New(`in the query write "&" as %26`)
		}
		to, ok := own[name]
		if !ok {
			others = append(others, queryOption{name, raw})
			continue
		}
		if *to != "" {
			return "", "", nil, fmt.Errorf("the option %s is there twice", name)
		}
		if *to, err = url.PathUnescape(raw); err != nil || !utf8.ValidString(*to) {
			return "", "", nil, fmt.Errorf(`%s: write "%%" itself as %%25`, name)
		}
	}
	query = strings.TrimRight(query, "; \t\r\n")
	switch {
	case query == "":
		return "", "", nil, errors.New("the query is missing; use " + form)
	case key == "":
		return "", "", nil, errors.New("key= is missing: name the column that orders the rows, whose values are unique; use " + form)
	}
	return query, key, others, nil
}

// within returns the query as a table named q. The line break ends a possible comment.
func (d *database) within() string { return "(" + d.query + "\n) AS q" }

// quoted quotes a name for SQL.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (d *database) restart() restart { return isWhole }

func (d *database) begin(json.RawMessage) (upstream, error) {
	db, err := d.open()
	if err != nil {
		return nil, d.conceal(err)
	}
	r := &queryRows{database: d, db: db}
	// The rows outlive a call of fetch, so their context must, too.
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// queryRows is a query in progress.
type queryRows struct {
	*database

	db     *sql.DB
	ctx    context.Context // ends at close, or with the context of a fetch
	cancel context.CancelFunc

	tx   *sql.Tx
	rows *sql.Rows // nil before the first fetch
	read readRow

	last  sql.NullString // key of the last row
	row   []byte
	lines bytes.Buffer
}

// fetch returns the next rows as JSON Lines.
func (r *queryRows) fetch(ctx context.Context) (portion, error) {
	stop := context.AfterFunc(ctx, r.cancel)
	defer stop()
	err := r.more()
	switch {
	case ctx.Err() != nil:
		return portion{}, ctx.Err()
	case err == io.EOF: //nolint:errorlint // only io.EOF itself is the end
		return portion{}, io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the database has closed the connection")
	}
	if err != nil {
		return portion{}, r.conceal(err)
	}
	return portion{data: r.lines.Bytes()}, nil
}

// more reads rows until there are enough for a portion. After the last row it returns io.EOF.
func (r *queryRows) more() error {
	if r.rows == nil {
		if err := r.start(); err != nil {
			return err
		}
	}
	r.lines.Reset()
	for r.lines.Len() < portionSize && r.rows.Next() {
		var key sql.NullString
		var err error
		if r.row, key, err = r.read(r.rows, r.row[:0]); err != nil {
			return err
		}
		switch {
		case !key.Valid:
			return fmt.Errorf("the key %s is NULL in a row; choose another column, or add WHERE %s IS NOT NULL", r.key, quoted(r.key))
		case key == r.last:
			return fmt.Errorf("two rows have the key %s = %.100s, and it must be unique; choose another column", r.key, key.String)
		}
		r.last = key
		if err := json.Compact(&r.lines, r.row); err != nil { // a column of type json may have line breaks
			return fmt.Errorf("the row with the key %.100s is not JSON: %w", key.String, err)
		}
		r.lines.WriteByte('\n')
	}
	if r.lines.Len() > 0 {
		return nil // the next call returns the error again
	}
	if err := r.rows.Err(); err != nil {
		return err
	}
	return io.EOF
}

// start begins the transaction, which has one snapshot, and the query.
func (r *queryRows) start() (err error) {
	if r.tx, err = r.db.BeginTx(r.ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}); err != nil {
		return err
	}
	for _, statement := range r.statements() {
		if _, err := r.tx.ExecContext(r.ctx, statement); err != nil {
			return err
		}
	}
	columns, err := r.columns()
	if err != nil {
		return err
	}
	statement, read := r.ordered(r.database, columns)
	r.read = read
	r.rows, err = r.tx.QueryContext(r.ctx, statement)
	return err
}

// columns returns the columns of the query, whose names must differ.
func (r *queryRows) columns() ([]*sql.ColumnType, error) {
	rows, err := r.tx.QueryContext(r.ctx, "SELECT * FROM "+r.within()+" LIMIT 0") //nolint:gosec // the user's query runs in a read-only transaction
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // it has no rows
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	var names []string
	for _, column := range columns {
		if slices.Contains(names, column.Name()) {
			return nil, fmt.Errorf("the query has two columns called %s; rename one of them with AS", column.Name())
		}
		names = append(names, column.Name())
	}
	if !slices.Contains(names, r.key) {
		return nil, fmt.Errorf("the query has no column %s for key=; it has %.300s", r.key, strings.Join(names, ", "))
	}
	return columns, nil
}

func (r *queryRows) close() error {
	r.cancel()
	if r.rows != nil {
		_ = r.rows.Close() // it was only read
	}
	if r.tx != nil {
		_ = r.tx.Rollback() // it was only read
	}
	return r.db.Close()
}
