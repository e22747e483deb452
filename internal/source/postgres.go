package source

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	postgresForm = "postgres://HOST/DATABASE?query=SELECT …&key=COLUMN"

	// connectTimeout is the default of connect_timeout=. Without it a host that does not answer would block the job for
	// minutes.
	connectTimeout = 30 * time.Second
)

// postgresServer is a PostgreSQL database.
type postgresServer struct {
	config  *pgx.ConnConfig // nil if the whole stream is spooled
	secrets []string
}

// parsePostgres reads postgres://…?query=…&key=…. The other options are those of libpq. The URL may contain passwords,
// but no text that is shown or stored does.
func parsePostgres(spec string, replay bool) (*database, error) {
	base, options, _ := strings.Cut(spec, "?")
	query, key, others, err := cutQuery(options, postgresForm)
	if err != nil {
		return nil, err
	}
	shown, password := cutPassword(base)
	d := &database{text: shown + "?" + withoutPasswords(options), query: query, key: key}
	server := postgresServer{secrets: []string{password}}
	var pairs []string
	for _, o := range others {
		pairs = append(pairs, o.name+"="+o.raw)
		if isPassword(o.name) {
			server.secrets = append(server.secrets, o.raw)
		}
	}
	for _, secret := range server.secrets {
		if plain, err := url.QueryUnescape(secret); err == nil {
			server.secrets = append(server.secrets, plain)
		}
	}
	if replay {
		d.engine = server
		return d, nil
	}
	server.config, err = pgx.ParseConfig(base + "?" + strings.Join(pairs, "&"))
	if err != nil {
		return nil, server.conceal(fmt.Errorf("%w; use %s, and percent-encode special characters of a password", err, postgresForm))
	}
	server.secrets = append(server.secrets, server.config.Password) // may be from PGPASSWORD or a file
	if server.config.ConnectTimeout == 0 {
		server.config.ConnectTimeout = connectTimeout
	}
	if _, ok := server.config.RuntimeParams["application_name"]; !ok {
		server.config.RuntimeParams["application_name"] = "chunkline"
	}
	server.config.DefaultQueryExecMode = pgx.QueryExecModeExec // prepares no statements, which poolers do not always allow
	d.engine = server
	return d, nil
}

// cutPassword splits a URL without options into the URL without its password, and the password.
func cutPassword(base string) (shown, password string) {
	scheme, rest, _ := strings.Cut(base, "://")
	at := strings.LastIndexByte(rest, '@') // a "/" in a password should be written as %2F, but may not be
	if at < 0 {
		return base, ""
	}
	user, password, _ := strings.Cut(rest[:at], ":")
	return scheme + "://" + user + rest[at:], password
}

func isPassword(option string) bool { return option == "password" || option == "sslpassword" }

func withoutPasswords(options string) string {
	var kept []string
	for pair := range strings.SplitSeq(options, "&") {
		if name, _, _ := strings.Cut(pair, "="); !isPassword(name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

func (p postgresServer) open() (*sql.DB, error) { return stdlib.OpenDB(*p.config), nil }

// statements fix, for this transaction only, the settings that determine how values are formatted.
func (postgresServer) statements() []string {
	return []string{
		"SET LOCAL TimeZone = 'UTC'", "SET LOCAL DateStyle = 'ISO'", "SET LOCAL IntervalStyle = 'iso_8601'",
		"SET LOCAL extra_float_digits = 1", "SET LOCAL bytea_output = 'hex'",
	}
}

// ordered makes the server produce the JSON (row_to_json), because only the server knows all types. bytea is the
// exception: base64 is shorter than hex, and usual in JSON.
func (postgresServer) ordered(q *database, columns []*sql.ColumnType) (string, readRow) {
	list := make([]string, len(columns))
	for i, column := range columns {
		name := quoted(column.Name())
		list[i] = "q." + name
		if column.DatabaseTypeName() == "BYTEA" {
			list[i] = fmt.Sprintf(`translate(encode(q.%s, 'base64'), E'\n', '') AS %s`, name, name)
		}
	}
	key := "q." + quoted(q.key)
	statement := fmt.Sprintf("SELECT (SELECT row_to_json(r.*)::text FROM (SELECT %s) AS r), %s::text FROM %s ORDER BY %s", strings.Join(list, ", "), key, q.within(), key)
	var object sql.RawBytes
	return statement, func(rows *sql.Rows, b []byte) ([]byte, sql.NullString, error) {
		var key sql.NullString
		err := rows.Scan(&object, &key)
		return append(b, object...), key, err
	}
}

// conceal removes passwords from an error and joins its text into one line.
func (p postgresServer) conceal(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, secret := range p.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return errors.New(text)
}
