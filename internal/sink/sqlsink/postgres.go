package sqlsink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/chunkline/chunkline/internal/dial"
	"github.com/chunkline/chunkline/internal/sink"
)

const (
	// mostConnections bounds the connections of one process: one for a change, and some for questions and downloads.
	mostConnections = 4

	// connectTimeout bounds how long a connection may take to be made.
	connectTimeout = 5 * time.Second

	// sessionSettings keep a process that was cut off from holding the lock on the job's row: the server ends its
	// transaction. They also keep a commit durable that a role's own settings would not.
	sessionSettings = "SET idle_in_transaction_session_timeout = '30s'; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; " +
		"SET tcp_keepalives_count = 3; SET client_encoding = 'UTF8'"
)

// Server names a PostgreSQL server and its database for the names of files.
func Server(spec string) string {
	config, err := pgx.ParseConfig(spec)
	if err != nil { // Open reports the error
		return "postgres"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprintf("%s-%d-%s", config.Host, config.Port, config.Database), "/", "-"), "-")
}

// openPostgres opens connections to a server. Each connection is checked when it is made, so a server that takes over
// is checked, too.
func openPostgres(url string) (*sql.DB, string, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The client library's error shows parts of the URL, and in a malformed URL it is not certain where a password
		// ends.
		return nil, "postgres", fmt.Errorf("write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %%XX for special characters in the password: %w", sink.ErrSettings)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = dial.New(0).DialContext // some changes have no other limit of time
	if config.ValidateConnect == nil {        // of several servers, the primary
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "chunkline"
	}
	at := fmt.Sprintf("postgres://%s/%s", net.JoinHostPort(config.Host, fmt.Sprint(config.Port)), config.Database)
	if strings.HasPrefix(config.Host, "/") { // the folder of a socket
		at = fmt.Sprintf("postgres:///%s?host=%s&port=%d", config.Database, config.Host, config.Port)
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(checkPostgres))
	db.SetMaxOpenConns(mostConnections)
	db.SetMaxIdleConns(mostConnections)
	return db, at, nil
}

// checkPostgres makes the commits of a session durable, and refuses a server on which they cannot be.
func checkPostgres(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.PgConn().Exec(ctx, sessionSettings).ReadAll(); err != nil {
		return fmt.Errorf("set up session: %w", err)
	}
	var fsync, pages, commit string
	read := "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')"
	err := conn.QueryRow(ctx, read).Scan(&fsync, &pages, &commit)
	if err == nil && commit == "off" {
		if _, err = conn.Exec(ctx, "SET synchronous_commit = on"); err == nil {
			err = conn.QueryRow(ctx, read).Scan(&fsync, &pages, &commit)
		}
	}
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	for _, setting := range []struct{ name, value string }{{"fsync", fsync}, {"full_page_writes", pages}, {"synchronous_commit", commit}} {
		if setting.value == "off" {
			return fmt.Errorf("PostgreSQL has %s = off, so a power cut may lose committed data: set it to on in postgresql.conf and reload the server: %w", setting.name, sink.ErrSettings)
		}
	}
	return nil
}

// pgDialect is PostgreSQL.
type pgDialect struct{}

func (pgDialect) text(query string) string             { return query }
func (pgDialect) types() columnTypes                   { return columnTypes{bytes: "BYTEA", json: "JSON"} }
func (pgDialect) isolation() sql.IsolationLevel        { return sql.LevelReadCommitted }
func (pgDialect) lockRow() string                      { return " FOR UPDATE" }
func (pgDialect) placer(t *table) (tablePlacer, error) { return newPGRows(t) }

// awaitReplication commits something, if the server has synchronous standbys. Queries also show a commit that no standby
// has, because its client gave up waiting. COMMIT returns once a standby has everything before it, and a message in the
// log takes no lock for which commits would wait.
func (pgDialect) awaitReplication(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "SELECT CASE WHEN current_setting('synchronous_standby_names') <> '' THEN pg_logical_emit_message(true, 'chunkline', '') END")
	return err
}

func (pgDialect) inList(column, param string) string {
	return column + " IN (SELECT v::bigint FROM json_array_elements_text(" + param + "::json) AS v)"
}

func (pgDialect) before() string {
	return `SELECT p.chunk, p.first + p.objects FROM json_array_elements_text($2::json) WITH ORDINALITY AS e(below, place)
		LEFT JOIN LATERAL (SELECT chunk, first, objects FROM progress WHERE job = $1 AND first < e.below::bigint ORDER BY first DESC LIMIT 1) AS p ON true
		ORDER BY e.place`
}

// makingLock is the advisory lock for making tables. The number is chunkline's own.
const makingLock int64 = 0x6368756e6b6c6e

func (pgDialect) lockMaking(ctx context.Context, t *tx) error {
	_, err := t.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", makingLock)
	return err
}

func (pgDialect) columns(ctx context.Context, from querier, table string) ([]column, error) {
	return readColumns(ctx, from, table, `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, table)
}

func (pgDialect) checkTable(ctx context.Context, from querier, table string) error {
	var kind, persistence string
	err := from.QueryRowContext(ctx, "SELECT relkind::text, relpersistence::text FROM pg_class WHERE oid = to_regclass($1)", table).Scan(&kind, &persistence)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("there is no table %s: %w", table, sink.ErrSettings)
	case err != nil:
		return fmt.Errorf("look for table %s: %w", table, err)
	case kind != "r" && kind != "p":
		return fmt.Errorf("%s is not a table: %w", table, sink.ErrSettings)
	case persistence != "p":
		return fmt.Errorf("table %s is unlogged or temporary, so a crash empties it: ALTER TABLE %s SET LOGGED: %w", table, table, sink.ErrSettings)
	}
	return nil
}

func (pgDialect) insert(ctx context.Context, t *tx, table string, columns []string, rows [][]any) error {
	return t.conn.Raw(func(connection any) error {
		conn := connection.(*stdlib.Conn).Conn()
		_, err := conn.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
		return err
	})
}

// release checks the constraints in the round trip that ends the savepoint. Later rows of the transaction find them
// deferred again.
func (pgDialect) release(ctx context.Context, t *tx) error {
	_, err := t.ExecContext(ctx, "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; RELEASE SAVEPOINT attempt")
	return err
}

func (pgDialect) lacksRow(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23503" // foreign_key_violation
}

func (pgDialect) foreignKeysTo(context.Context, querier, string) (string, error) { return "", nil }

func (pgDialect) classify(err error) class {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return classifyBroken(err)
	}
	switch e.Code {
	case "40001", "40P01", "55P03", "25P03": // serialisation, deadlock, lock not available, idle in a transaction
		return again
	case "57P01", "57P02", "57P03", "57P05", "57014", "25006": // shut down, starting up, timeouts, read-only standby
		return away
	case "53100": // disk full
		return full
	case "3D000", "3F000", "42501": // no such database or schema, not allowed
		return settings
	case "XX001", "XX002": // damaged data or index
		return damaged
	case "21000": // two outputs of one statement for the same row
		return misfit
	}
	switch e.Code[:2] {
	case "08", "53": // connection; out of connections, memory
		return away
	case "28": // wrong password
		return settings
	case "22", "23", "54", "P0": // wrong data, constraint, too complex, RAISE in a trigger
		return misfit
	}
	return unexpected
}

// TurnedAway reports whether err is the answer of a server that accepts no connections at the moment. The settings may
// be right.
func TurnedAway(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	// Too many clients; shut down by an administrator; another process crashed; starting up, shutting down or in
	// recovery.
	return ok && slices.Contains([]string{"53300", "57P01", "57P02", "57P03"}, e.Code)
}

// Reason returns the server's message in an error, for people, or the whole error if it has none.
func Reason(err error) string { return pgDialect{}.reason(err) }

// classifyBroken classifies an error that the server did not send.
func classifyBroken(err error) class {
	if errors.Is(err, sink.ErrSettings) {
		return settings
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return away
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return away
	}
	for _, broken := range []error{driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, sql.ErrConnDone} {
		if errors.Is(err, broken) {
			return away
		}
	}
	if pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed") { // pgconn does not export this one
		return away
	}
	return unexpected
}

func (pgDialect) reason(err error) string {
	e, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok:
		return err.Error()
	case e.Detail != "" && strings.HasPrefix(e.Code, "23") && e.Code != "23502" && e.Code != "23514": // the others show the whole row
		return e.Message + ": " + e.Detail
	}
	return e.Message
}
