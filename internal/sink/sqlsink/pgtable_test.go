//go:build postgres

package sqlsink_test

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/chunkline/chunkline/internal/postgrestest"
)

// PostgreSQL converts JSON by the types of the columns, and values that do not fit become dead letters.
func testPostgresTable(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	testTable(t, url+"&", db)

	server.Exec(t, url, `CREATE SCHEMA "My ""App"; CREATE TABLE "My ""App".typed (
		big bigint PRIMARY KEY, exact numeric, at timestamptz, raw bytea, doc jsonb, tags text[], short varchar(3), "select" boolean)`)
	spec := url + `&table=My%20%22App.typed&columns=big,exact,at,raw,doc,tags,short,select&key=big`
	w := openTable(t, spec, "typed")
	w.commit(
		`{"big":9223372036854775807,"exact":123456789012345678901234567890.123456789,"at":"2026-01-02T03:04:05.678901+02:00","raw":"\\x00ff","doc":{"a":[1,null]},"tags":["x","y, z"],"short":"abc","select":true}`,
		`{"big":2}`,
		`{"big":3,"short":"abcd"}`,
		`{"big":4,"doc":"\u0000"}`,
		`{"big":5,"tags":"none"}`,
	)
	w.wantDead(map[uint64]string{2: "value too long for type character varying(3)", 3: "unsupported Unicode escape sequence", 4: "malformed array literal"})
	var row string
	if err := db.QueryRow(`SELECT concat_ws('|', big, exact, at AT TIME ZONE 'UTC', raw, doc, tags[2], short, "select") FROM "My ""App".typed WHERE short IS NOT NULL`).Scan(&row); err != nil {
		t.Fatal(err)
	}
	if want := `9223372036854775807|123456789012345678901234567890.123456789|2026-01-02 01:04:05.678901|\x00ff|{"a": [1, null]}|y, z|abc|t`; row != want {
		t.Errorf("row is %s, want %s", row, want)
	}
	if n := count(t, db, `SELECT count(*) FROM "My ""App".typed`); n != 2 {
		t.Errorf("table has %d rows, want 2", n)
	}
	for setting, says := range map[string]string{
		"table=view_of&columns=big":                       "is not a table",
		"table=people&columns=id&key=id&mode=upsert&x=1;": "",
	} {
		if says == "" {
			continue
		}
		server.Exec(t, url, `CREATE VIEW view_of AS SELECT 1 AS big`)
		if _, err := openSpec(url+"&"+setting, "views"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("open with %s: %v, want %q", setting, err, says)
		}
	}
}
