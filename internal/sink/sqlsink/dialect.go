package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// A dialect covers the differences between the kinds of databases. Queries have the parameters $1, $2 and so on.
type dialect interface {
	// text translates a query into the dialect.
	text(query string) string
	// types are the names of the column types.
	types() columnTypes
	// isolation is the isolation level of transactions that change something.
	isolation() sql.IsolationLevel
	// lockRow is the end of a query whose row no other transaction may change until this one ends.
	lockRow() string
	// awaitReplication returns once a failover no longer loses what earlier queries have returned.
	awaitReplication(ctx context.Context, db *sql.DB) error
	// lockMaking keeps other processes from making tables until the transaction ends.
	lockMaking(ctx context.Context, t *tx) error
	// columns returns the columns of a table, whose name is quoted; none if there is no such table.
	columns(ctx context.Context, from querier, table string) ([]column, error)
	// checkTable refuses a table that does not keep its rows.
	checkTable(ctx context.Context, from querier, table string) error
	// insert inserts rows into a table of ours.
	insert(ctx context.Context, t *tx, table string, columns []string, rows [][]any) error
	// inList is a condition for a column to have one of the numbers in a JSON array, which is the parameter param.
	inList(column, param string) string
	// before returns, for each number in the JSON array $2, in its order, the piece with the largest first ordinal
	// below it: its chunk and its end; NULL if there is none.
	before() string
	// placer makes the tablePlacer for a table of the user.
	placer(t *table) (tablePlacer, error)
	// release ends the savepoint attempt, and keeps its changes. It first checks the constraints that the database
	// would otherwise check when it commits, so that a row that breaks one is found while it can still be taken back.
	release(ctx context.Context, t *tx) error
	// classify returns the class of an error.
	classify(err error) class
	// lacksRow reports whether an error means that a row refers to one that is missing, or to one that was to be
	// removed.
	lacksRow(err error) bool
	// foreignKeysTo lists the foreign keys that refer to a table of the user, for people; "" if errors name the foreign
	// key.
	foreignKeysTo(ctx context.Context, from querier, table string) (string, error)
	// reason is the database's message about a row that does not fit, for people.
	reason(err error) string
}

type columnTypes struct{ bytes, json string }

// A column of a table.
type column struct{ name, kind string }

// class is what an error of the database means for the caller.
type class int

const (
	unexpected class = iota // stop
	again                   // another transaction was faster: repeat this one at once
	away                    // the database cannot be reached: repeat it later
	full                    // no space
	misfit                  // a row does not fit its table
	settings                // wrong name, password or database
	damaged
)

// querier is a database, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// tx is a transaction and its connection.
type tx struct {
	*sql.Tx
	conn    *sql.Conn
	dialect dialect
	release func() // cancels its context
}

func (t *tx) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.ExecContext(ctx, t.dialect.text(query), args...)
}

// within runs do in a savepoint. If a row does not fit its table, within undoes the changes of do, and the transaction
// can continue.
func (t *tx) within(ctx context.Context, do func() error) error {
	if _, err := t.ExecContext(ctx, "SAVEPOINT attempt"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		err = t.dialect.release(ctx, t)
	}
	if err == nil || t.dialect.classify(err) != misfit {
		return err
	}
	for _, undo := range []string{"ROLLBACK TO SAVEPOINT attempt", "RELEASE SAVEPOINT attempt"} {
		if _, worse := t.ExecContext(ctx, undo); worse != nil {
			return worse
		}
	}
	return err
}

// each calls do for each row that a query returns. The query is the dialect's.
func each(ctx context.Context, from querier, query string, args []any, do func(scan func(...any) error) error) error {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for err == nil && rows.Next() {
		err = do(rows.Scan)
	}
	return errors.Join(err, rows.Err(), rows.Close())
}

// texts returns the only column of the rows that a query returns.
func texts(ctx context.Context, from querier, query string, args ...any) (all []string, err error) {
	err = each(ctx, from, query, args, func(scan func(...any) error) error {
		var text string
		err := scan(&text)
		all = append(all, text)
		return err
	})
	return all, err
}

// quoteName quotes a name as in standard SQL.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteNames quotes names and joins them with commas.
func quoteNames(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quoteName(n)
	}
	return strings.Join(quoted, ", ")
}

// readColumns returns the columns of a table, whose names and types a query returns.
func readColumns(ctx context.Context, from querier, table, query, arg string) (columns []column, err error) {
	err = each(ctx, from, query, []any{arg}, func(scan func(...any) error) error {
		var c column
		err := scan(&c.name, &c.kind)
		columns = append(columns, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", table, err)
	}
	return columns, nil
}
