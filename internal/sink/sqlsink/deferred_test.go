package sqlsink_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

func TestSQLiteForeignKeys(t *testing.T) {
	sqlite, db := newSQLite(t)
	testForeignKeys(t, sqlite+"?", "FOREIGN KEY constraint failed", db)
	testReferredRows(t, sqlite+"?", "foreign keys to it: pets_", db)

	// A foreign key that SQLite cannot check is found before the job begins.
	if _, err := db.Exec(`CREATE TABLE lost (id bigint PRIMARY KEY, up bigint REFERENCES nobody (id))`); err != nil {
		t.Fatal(err)
	}
	s, err := openSpec(t, sqlite+"?table=lost&columns=id,up", "lost")
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("open with a foreign key to no table: %v, want ErrSettings", err)
	}
}

// testForeignKeys tests that both databases find the rows that break a foreign key, whether it is checked at once or at
// the commit. says is what the database says of such a row.
func testForeignKeys(t *testing.T, spec, says string, db *sql.DB) {
	for name, deferred := range map[string]string{"immediate": "", "deferred": " DEFERRABLE INITIALLY DEFERRED"} {
		t.Run(name, func(t *testing.T) {
			table := "nodes_" + name
			if _, err := db.Exec(`CREATE TABLE ` + table + ` (id bigint PRIMARY KEY, up bigint REFERENCES ` + table + ` (id)` + deferred + `, name text NOT NULL DEFAULT '')`); err != nil {
				t.Fatal(err)
			}
			w := openTable(t, spec+"table="+table+"&columns=id,up,name&key=id", name)
			w.commit(`{"id":1,"up":2,"name":"a"}`, `{"id":2,"up":1,"name":"b"}`, `{"id":3,"up":3,"name":"c"}`)
			w.wantDead(nil)
			w.commit(
				`{"id":10,"up":13,"name":"refers to one that follows"}`,
				`{"id":11,"up":99,"name":"refers to none"}`,
				`{"id":12,"up":1}`, // no name
				`{"id":13,"up":1,"name":"refers to one of the last commit"}`,
				`{"id":14,"up":11,"name":"refers to one that does not fit"}`,
				`{"id":15,"up":14,"name":"one output fits"}`+"\n"+`{"id":16,"up":1,"name":"and one does not"}`,
			)
			w.wantDead(map[uint64]string{1: says, 2: "", 4: says, 5: says})
			if n := count(t, db, "SELECT count(*) FROM "+table+" WHERE id >= 10"); n != 2 {
				t.Errorf("the table has %d rows of the second commit, want 2", n)
			}
			w.commit(`{"id":20,"up":98,"name":"alone"}`)
			w.wantDead(map[uint64]string{0: says})
			w.chunk, w.ordinal = w.chunk-1, w.ordinal-1
			mended := w.result(`{"id":20,"up":97,"name":"still alone"}`)
			if err := sinktest.Replace(t, w, mended); err != nil {
				t.Fatal(err)
			}
			if sum := w.Summary(); sum.Dead != 5 {
				t.Errorf("there are %d dead letters after a retry that does not help, want 5", sum.Dead)
			}
		})
	}
}

// testReferredRows tests that rows to which others refer are not removed, and that the error says so. says names the
// foreign key; the name of the table that has it ends with immediate or deferred.
func testReferredRows(t *testing.T, spec, says string, db *sql.DB) {
	for name, deferred := range map[string]string{"immediate": "", "deferred": " DEFERRABLE INITIALLY DEFERRED"} {
		t.Run("referred rows, "+name, func(t *testing.T) {
			exec := func(query string) {
				t.Helper()
				if _, err := db.Exec(query); err != nil {
					t.Fatalf("%s: %v", query, err)
				}
			}
			owners, pets := "owners_"+name, "pets_"+name
			exec(`CREATE TABLE ` + owners + ` (id bigint PRIMARY KEY, name text)`)
			exec(`CREATE TABLE ` + pets + ` (owner bigint REFERENCES ` + owners + ` (id)` + deferred + `)`)
			w := openTable(t, spec+"table="+owners+"&columns=id,name&key=id", owners)
			w.commit(`{"id":1,"name":"Ada"}`, `{"id":2,"name":"Bo"}`)
			w.commit(`{"id":3,"name":"Cy"}`)
			exec(`INSERT INTO ` + pets + ` VALUES (3)`)
			before := w.Summary()
			wantKept := func(what string, err error) {
				t.Helper()
				if err == nil || errors.Is(err, sink.ErrBroken) || !strings.Contains(err.Error(), says+name) || !strings.Contains(err.Error(), "nothing was changed; first delete the rows") {
					t.Errorf("%s: %v, want an error with %q", what, err, says+name)
				}
				if n := count(t, db, "SELECT count(*) FROM "+owners); n != 3 || w.Summary() != before {
					t.Errorf("after %s the table has %d rows, and the summary is %+v; want 3 and %+v", what, n, w.Summary(), before)
				}
			}
			_, err := w.Redo(t.Context(), "v1")
			wantKept("redo", err)
			w.chunk, w.ordinal = w.chunk-1, w.ordinal-1
			err = sinktest.Replace(t, w, w.result(`{"id":4,"name":"Cy"}`))
			wantKept("replace", err)

			exec(`DELETE FROM ` + pets)
			if done, err := w.Redo(t.Context(), "v1"); err != nil || done.Outputs != 3 {
				t.Errorf("redo with no row that refers: %+v, %v", done, err)
			}
		})
	}
}
