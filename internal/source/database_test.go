package source

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newDatabase makes an SQLite database, which the test may write to.
func newDatabase(t *testing.T, statements ...string) (path string, db *sql.DB) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "data with ? and %.db")
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3F").Replace(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	execute(t, db, statements...)
	return path, db
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// drainQuery reads a query to its end.
func drainQuery(t *testing.T, spec, spool string) ([]string, error) {
	t.Helper()
	s, err := Open(Options{Size: 2, Bytes: 1000, Spool: spool}, spec)
	if err != nil {
		return nil, err
	}
	cuts, err := drain(s)
	if e := s.Close(); e != nil {
		t.Error(e)
	}
	return objects(cuts), err
}

// Values are as stored, whatever type their column declares.
func TestSQLite_types(t *testing.T) {
	t.Parallel()
	path, _ := newDatabase(t,
		`CREATE TABLE t (id INTEGER PRIMARY KEY, v, day DATE, at DATETIME, yes BOOLEAN, "odd ""name" TEXT)`,
		`INSERT INTO t (id, v, day, at, yes, "odd ""name") VALUES
			(9223372036854775807, 9007199254740993, '2024-02-30', '2024-01-02 03:04:05.678', 1, 'a'),
			(3, 1.0, 20240101, 1700000000, 'true', '<&>"\' || char(10, 0, 233)),
			(1, 0.1, NULL, NULL, NULL, ''),
			(2, x'00ff10', x'', 1e300, -9e999, 9e999),
			(-9223372036854775808, -0.0, 1e21, 1e-7, 123456789.25, NULL)`)
	want := []string{
		`{"id":-9223372036854775808,"v":-0.0,"day":1e+21,"at":1e-07,"yes":123456789.25,"odd \"name":null}`,
		`{"id":1,"v":0.1,"day":null,"at":null,"yes":null,"odd \"name":""}`,
		`{"id":2,"v":"AP8Q","day":"","at":1e+300,"yes":"-Infinity","odd \"name":"Inf"}`,
		`{"id":3,"v":1.0,"day":20240101,"at":1700000000,"yes":"true","odd \"name":"<&>\"\\\n\u0000é"}`,
		`{"id":9223372036854775807,"v":9007199254740993,"day":"2024-02-30","at":"2024-01-02 03:04:05.678","yes":1,"odd \"name":"a"}`,
	}
	got, err := drainQuery(t, "sqlite:"+path+"?key=id&query=SELECT * FROM t -- all", "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("row %d: got %q, want %q", i, got[i:min(i+1, len(got))], want[i:min(i+1, len(want))])
		}
	}
}

func TestSQLite_queries(t *testing.T) {
	t.Parallel()
	path, _ := newDatabase(t, "CREATE TABLE t (id INTEGER, name TEXT)", "INSERT INTO t VALUES (3, 'c'), (1, 'A+b%'), (2, 'a'), (4, NULL)")
	for query, want := range map[string][]string{
		"query=SELECT name, id FROM t WHERE id < 4 ;\n&key=id":            {`{"name":"A+b%","id":1}`, `{"name":"a","id":2}`, `{"name":"c","id":3}`},
		"query=SELECT name FROM t WHERE name LIKE '%25'&key=name":         {`{"name":"A+b%"}`, `{"name":"a"}`, `{"name":"c"}`},
		"key=n&query=SELECT count(*)+1 AS n, 3 %26 1 AS odd FROM t":       {`{"n":5,"odd":1}`},
		"query=SELECT id, name, 'x' AS id FROM t WHERE id = 1&key=id":     {`{"id":1,"name":"A+b%","id:1":"x"}`},
		"query=WITH x AS (SELECT 1 AS a, '?' AS b) SELECT * FROM x&key=b": {`{"a":1,"b":"?"}`},
		"query=SELECT id FROM t WHERE 0&key=id":                           nil,
	} {
		got, err := drainQuery(t, "sqlite:"+path+"?"+query, "")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", query, got, err, want)
		}
	}
}

func TestSQLite_fails(t *testing.T) {
	t.Parallel()
	path, _ := newDatabase(t, "CREATE TABLE t (id, name TEXT)", "INSERT INTO t VALUES (1, 'x'), (2, NULL), (2, 'y'), (3, CAST(x'ff' AS TEXT))")
	text := write(t, "a.db", strings.Repeat("this is no database ", 100)) + "/a.db"
	for spec, want := range map[string]string{
		path + "?query=SELECT * FROM t&key=id":                        `two rows have the key id = 2, and it must be unique; choose another column`,
		path + "?query=SELECT name FROM t&key=name":                   `the key name is NULL in a row`,
		path + "?query=SELECT * FROM t&key=nosuch":                    `the query has no column nosuch for key=; it has id, name`,
		path + "?query=SELECT * FROM nosuch&key=id":                   "no such table: nosuch",
		path + "?query=DELETE FROM t&key=id":                          "syntax error",
		path + "?query=SELECT * FROM t WHERE id = 3&key=id":           "column name of the row with id = 3: the text is not UTF-8; select it as CAST(… AS BLOB)",
		path + "?query=SELECT 1 AS id) AS q; DROP TABLE t; --&key=id": "DROP",
		text + "?query=SELECT 1 AS id&key=id":                         "file is not a database",
	} {
		_, err := drainQuery(t, "sqlite:"+spec, filepath.Join(t.TempDir(), "spool"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
	if got, err := drainQuery(t, "sqlite:"+path+"?query=SELECT count(*) AS n FROM t&key=n", ""); err != nil || !slices.Equal(got, []string{`{"n":4}`}) {
		t.Errorf("the queries have changed the database: %q, %v", got, err)
	}
}

func TestDatabase_settings(t *testing.T) {
	t.Parallel()
	path, _ := newDatabase(t, "CREATE TABLE t (id)")
	for spec, want := range map[string]string{
		"sqlite:" + path:                                                    "the query is missing; use sqlite:FILE?query=",
		"sqlite:" + path + "?query=&key=id":                                 "the query is missing",
		"sqlite:" + path + "?query=SELECT 1":                                "key= is missing",
		"sqlite:" + path + "?query=SELECT 1&key=a&key=b":                    "key is there twice",
		"sqlite:" + path + "?query=SELECT 1&key=a&where=b":                  `no option "where"`,
		"sqlite:" + path + "?query=SELECT 1 & 2&key=a":                      `write "&" as %26`,
		"sqlite:" + path + "?query=SELECT '%'&key=a":                        `write "%" itself as %25`,
		"sqlite:" + path + "?query=SELECT '%ff'&key=a":                      `write "%" itself as %25`,
		"sqlite:" + path + ".no?query=SELECT 1&key=a":                       "no such file",
		"sqlite:" + filepath.Dir(path) + "?query=SELECT 1&key=a":            "is a directory",
		"sqlite:?query=SELECT 1&key=a":                                      "the file is missing",
		"sqlite:" + path + "?query=SELECT 1,2&key=a,b.jsonl":                "",
		"sqlite:a.db,b.jsonl":                                               "the query is missing",
		"postgres://h/d":                                                    "the query is missing; use postgres://HOST/DATABASE?query=",
		"postgres://h/d?query=SELECT 1":                                     "key= is missing",
		"postgres://h:x/d?query=SELECT 1&key=a":                             "percent-encode",
		"sqlite:" + path + "?query=" + strings.Repeat("x", 4000) + "&key=a": "make a view",
	} {
		_, err := Open(Options{Size: 1, Bytes: 1}, spec)
		if want == "" && err == nil {
			continue
		}
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.90s: %v, want %q", spec, err, want)
		}
	}
	if _, err := Open(Options{Size: 1, Bytes: 1, Format: mustFormat(t, "csv")}, "sqlite:"+path+"?query=SELECT 1&key=a"); !errors.Is(err, ErrSettings) {
		t.Errorf("with a format: %v", err)
	}
}

// A later run, and verify, get the objects that the first run read, although the data has changed.
func TestDatabase_readOnce(t *testing.T) {
	t.Parallel()
	path, db := newDatabase(t, "CREATE TABLE t (id)", "INSERT INTO t VALUES (1), (2), (3)")
	spec, spool := "sqlite:"+path+"?query=SELECT * FROM t&key=id", filepath.Join(t.TempDir(), "spool")
	want := []string{`{"id":1}`, `{"id":2}`, `{"id":3}`}
	for range 2 {
		if got, err := drainQuery(t, spec, spool); err != nil || !slices.Equal(got, want) {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
		execute(t, db, "DELETE FROM t WHERE id = 2")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Size: 2, Bytes: 1000, Spool: spool, Replay: true}, spec)
	if err != nil {
		t.Fatal(err)
	}
	cuts, err := drain(s)
	if got := objects(cuts); err != nil || !slices.Equal(got, want) || s.Close() != nil {
		t.Errorf("replayed: got %q, %v, want %q", got, err, want)
	}
}

// large fills a table t with rows that need several portions.
const large = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id+1 FROM n WHERE id < 90) INSERT INTO t SELECT id, hex(zeroblob(50000)) FROM n"

// A run that ends before everything is spooled returns nothing, and the next run starts over with current data.
func TestDatabase_startsOver(t *testing.T) {
	t.Parallel()
	path, db := newDatabase(t, "CREATE TABLE t (id, v TEXT)", large, "UPDATE t SET v = CAST(x'ff' AS TEXT) WHERE id = 80")
	spec, spool := "sqlite:"+path+"?query=SELECT * FROM t&key=id", filepath.Join(t.TempDir(), "spool")
	if got, err := drainQuery(t, spec, spool); len(got) > 0 || err == nil {
		t.Fatalf("got %d objects, %v, want none and an error", len(got), err)
	}
	if info, err := os.Stat(spool); err != nil || info.Size() < 1000 {
		t.Fatalf("the spool is empty: %v", err)
	}
	execute(t, db, "DELETE FROM t WHERE id > 2", "UPDATE t SET v = 'new'")
	want := []string{`{"id":1,"v":"new"}`, `{"id":2,"v":"new"}`}
	if got, err := drainQuery(t, spec, spool); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// All rows are a snapshot of the moment when the first one is read.
func TestSQLite_snapshot(t *testing.T) {
	t.Parallel()
	path, db := newDatabase(t, "PRAGMA journal_mode = WAL", "CREATE TABLE t (id, v TEXT)", large)
	list, err := expand(Options{}, "sqlite:"+path+"?query=SELECT id, length(v) AS n, v FROM t&key=id")
	if err != nil {
		t.Fatal(err)
	}
	checkSnapshot(t, list[0].stream, func() {
		execute(t, db, "UPDATE t SET v = 'changed'", "DELETE FROM t WHERE id > 85", "INSERT INTO t VALUES (1000, 'late')")
	})
}

// checkSnapshot reads a portion, calls change, and checks that the rest is unaffected.
func checkSnapshot(t *testing.T, s stream, change func()) {
	t.Helper()
	up, err := s.begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := up.close(); err != nil {
			t.Error(err)
		}
	}()
	rows, portions := 0, 0
	for {
		p, err := up.fetch(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		portions++
		for line := range strings.Lines(string(p.data)) {
			rows++
			if want := fmt.Sprintf(`{"id":%d,"n":100000,"v":"000`, rows); !strings.HasPrefix(line, want) {
				t.Fatalf("row %d is %.50s, want %s", rows, line, want)
			}
		}
		if portions == 1 {
			change()
		}
	}
	if rows != 90 || portions < 2 {
		t.Errorf("%d rows in %d portions, want 90 in several", rows, portions)
	}
}

// Closing the job cancels a slow query.
func TestSQLite_cancel(t *testing.T) {
	t.Parallel()
	path, _ := newDatabase(t, "CREATE TABLE t (id)")
	s, err := Open(Options{Size: 2, Bytes: 1000}, "sqlite:"+path+
		"?query=WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id+1 FROM n) SELECT count(*) AS id FROM n&key=id")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { _, _, err := s.Next(ctx); ended <- err }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
