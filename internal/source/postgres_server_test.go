//go:build postgres

package source

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/postgrestest"
)

const postgresTypes = `
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE place AS (x int, name text);
CREATE TABLE types (id bigint PRIMARY KEY, n numeric, i int, s smallint, f double precision, r real, b boolean, t text, c char(3), v varchar, by bytea, j jsonb, js json,
	ts timestamptz, tn timestamp, d date, tm time, iv interval, u uuid, a int[], aa text[][], m mood, p place, ip inet, rg int4range, x xml, ba bytea[]);
INSERT INTO types VALUES
	(9007199254740993, 123456789012345678901234567890.123456789000, 2147483647, -5, 0.1, 1.5, true, E'a"\\\n\u00e9', 'x', 'v', '\x00ff10', '{"b": 1e400, "a": [1.10, null]}',
	 '{ "z": 1,
	    "a": 2 }', '2024-01-02 03:04:05.678901+05', '2024-01-02 03:04:05', '2024-02-29', '01:02:03.5', '1 year 2 days 3 hours', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
	 '{1,NULL,3}', '{{a,b},{c,"d,e"}}', 'happy', '(7,home)', '10.0.0.0/8', '[1,5)', '<a/>', '{"\\x01"}'),
	(-1, 'NaN', NULL, NULL, 'NaN', '-Infinity', NULL, '', NULL, NULL, '', 'null', NULL, 'infinity', '-infinity', NULL, NULL, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(0, 'Infinity', 0, 0, 1e300, 1e-30, false, NULL, NULL, NULL, decode(repeat('ab', 100), 'hex'), NULL, NULL, NULL, NULL, '0044-03-15 BC', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`

// Every type becomes JSON without loss, in the order of the columns and the key.
func TestPostgres_types(t *testing.T) {
	server := postgrestest.Start(t)
	url := server.NewDatabase(t)
	server.Exec(t, url, postgresTypes+"; CREATE SEQUENCE numbers")
	server.Exec(t, url, "ALTER ROLE postgres SET TimeZone = 'America/New_York'; ALTER ROLE postgres SET bytea_output = 'escape'; ALTER ROLE postgres SET extra_float_digits = -10; ALTER ROLE postgres SET DateStyle = 'German'")
	got, err := drainQuery(t, url+"&key=id&query=TABLE types -- all", "")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"id":-1,"n":"NaN","i":null,"s":null,"f":"NaN","r":"-Infinity","b":null,"t":"","c":null,"v":null,"by":"","j":null,"js":null,"ts":"infinity","tn":"-infinity","d":null,"tm":null,"iv":null,"u":null,"a":[],"aa":null,"m":null,"p":null,"ip":null,"rg":null,"x":null,"ba":null}`,
		`{"id":0,"n":"Infinity","i":0,"s":0,"f":1e+300,"r":1e-30,"b":false,"t":null,"c":null,"v":null,"by":"` + strings.Repeat("q6ur", 33) + `qw==","j":null,"js":null,"ts":null,"tn":null,"d":"0044-03-15 BC","tm":null,"iv":null,"u":null,"a":null,"aa":null,"m":null,"p":null,"ip":null,"rg":null,"x":null,"ba":null}`,
		`{"id":9007199254740993,"n":123456789012345678901234567890.123456789000,"i":2147483647,"s":-5,"f":0.1,"r":1.5,"b":true,"t":"a\"\\\né","c":"x  ","v":"v","by":"AP8Q","j":{"a":[1.10,null],"b":1` + strings.Repeat("0", 400) + `},"js":{"z":1,"a":2},"ts":"2024-01-01T22:04:05.678901+00:00","tn":"2024-01-02T03:04:05","d":"2024-02-29","tm":"01:02:03.5","iv":"P1Y2DT3H","u":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","a":[1,null,3],"aa":[["a","b"],["c","d,e"]],"m":"happy","p":{"x":7,"name":"home"},"ip":"10.0.0.0/8","rg":"[1,5)","x":"<a/>","ba":["\\x01"]}`,
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("row %d:\n got %q\nwant %q", i, got[i:min(i+1, len(got))], want[i:min(i+1, len(want))])
		}
	}
	t.Run("fails", func(t *testing.T) { checkPostgresFailures(t, url) })
	t.Run("snapshot", func(t *testing.T) {
		server.Exec(t, url, "CREATE TABLE t AS SELECT id, repeat('0', 100000) AS v FROM generate_series(1, 90) AS id")
		list, err := expand(Options{}, url+"&query=SELECT id, length(v) AS n, v FROM t&key=id")
		if err != nil {
			t.Fatal(err)
		}
		checkSnapshot(t, list[0].stream, func() {
			server.Exec(t, url, "UPDATE t SET v = 'changed'; DELETE FROM t WHERE id > 85; INSERT INTO t VALUES (1000, 'late')")
		})
	})
	t.Run("killed", func(t *testing.T) { checkKilledServer(t, server, url) })
}

// checkPostgresFailures checks the errors of bad queries, and that nothing is written.
func checkPostgresFailures(t *testing.T, url string) {
	for options, want := range map[string]string{
		"query=SELECT i FROM types&key=i":                                              `the key i is NULL in a row`,
		"query=SELECT 1 AS a FROM types&key=a":                                         `two rows have the key a = 1, and it must be unique`,
		"query=SELECT 1 AS a, 2 AS a&key=a":                                            `two columns called a; rename one of them with AS`,
		"query=SELECT * FROM types&key=ID":                                             `the query has no column ID for key=; it has id, n, i,`,
		"query=SELECT * FROM nosuch&key=id":                                            `relation "nosuch" does not exist`,
		"query=DELETE FROM types RETURNING id&key=id":                                  "syntax error",
		"query=SELECT nextval('numbers') AS n&key=n":                                   `read-only transaction`,
		"query=SELECT 1) AS q; DROP TABLE types; SELECT * FROM (SELECT 1 AS id&key=id": "cannot insert multiple commands",
		"query=SELECT 1/(id-1) AS id FROM generate_series(1,9) id&key=id":              "division by zero",
		"query=SELECT j AS id FROM types&key=id&password=wrong-canary":                 "password authentication failed",
		"query=SELECT 1 AS id&key=id&no_such_setting=1":                                `"no_such_setting"`,
	} {
		_, err := drainQuery(t, url+"&"+options, filepath.Join(t.TempDir(), "spool"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", options, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: a password or several lines: %q", options, err)
		}
	}
}

// checkKilledServer kills the server in the middle of a query: the source does not end, and the next run reads the data
// of that time.
func checkKilledServer(t *testing.T, server *postgrestest.Server, url string) {
	spec, spool := url+"&key=id&query=SELECT id, repeat('x', 100000) AS v FROM generate_series(1, 900) AS id", filepath.Join(t.TempDir(), "spool")
	list, err := expand(Options{}, spec)
	if err != nil {
		t.Fatal(err)
	}
	up, err := list[0].stream.begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chunkline'")
	for err = nil; err == nil; {
		_, err = up.fetch(t.Context())
	}
	if e := up.close(); e != nil {
		t.Error(e)
	}
	if !strings.Contains(err.Error(), "terminating connection") && !strings.Contains(err.Error(), "closed the connection") && !strings.Contains(err.Error(), "reset by peer") {
		t.Errorf("the connection was ended: %v", err)
	}
	server.Kill(t)
	if got, err := drainQuery(t, spec, spool); err == nil || len(got) > 0 || strings.Contains(err.Error(), postgrestest.Password) {
		t.Errorf("without a server: %d objects, %v", len(got), err)
	}
	server.Restart(t)
	spec = url + "&query=SELECT id FROM generate_series(1, 3) AS id&key=id"
	if got, err := drainQuery(t, spec, spool+"2"); err != nil || !slices.Equal(got, []string{`{"id":1}`, `{"id":2}`, `{"id":3}`}) {
		t.Errorf("after the restart: %q, %v", got, err)
	}
}
