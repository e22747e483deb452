package sqlsink_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
)

// testOddOutputs tests outputs that are not one JSON value, or are nested so deep that a dead letter cannot embed them.
// They become dead letters. The mappers of others may send such outputs, and they must not end the sink.
func testOddOutputs(t *testing.T, spec string, db *sql.DB) {
	if _, err := db.Exec(`CREATE TABLE odd (id INT)`); err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat("[", chunk.MaxDepth) + strings.Repeat("]", chunk.MaxDepth)
	w := openTable(t, spec+"table=odd&columns=id", "odd")
	w.commit(`{"id":1}`, `{"id":`, deep, "text", `{"id":2}`, `{"id":4},{"id":8}`)
	w.wantDead(map[uint64]string{1: "not a JSON object", 2: "not a JSON object", 3: "not a JSON object", 5: "not a JSON object"})
	if n := count(t, db, `SELECT SUM(id) FROM odd`); n != 3 {
		t.Errorf("the rows add up to %d, want 3", n)
	}
}

// A table may have any name.
func TestSQLiteTable_quote(t *testing.T) {
	sqlite, db := newSQLite(t)
	if _, err := db.Exec(`CREATE TABLE "5""" (id INT)`); err != nil {
		t.Fatal(err)
	}
	w := openTable(t, sqlite+"?table=5%22&columns=id", "job")
	w.commit(`{"id":1}`)
	if n := count(t, db, `SELECT SUM(id) FROM "5"""`); n != 1 {
		t.Errorf("the rows add up to %d, want 1", n)
	}
}

// A statement has a limit of parameters, so fewer rows of a wide table fit into one.
func TestSQLiteTable_wide(t *testing.T) {
	sqlite, db := newSQLite(t)
	var columns []string
	for i := range 400 {
		columns = append(columns, fmt.Sprintf("c%d", i))
	}
	if _, err := db.Exec("CREATE TABLE wide (" + strings.Join(columns, ", ") + ")"); err != nil {
		t.Fatal(err)
	}
	w := openTable(t, sqlite+"?table=wide&columns="+strings.Join(columns, ","), "job")
	w.commit(slices.Repeat([]string{`{"c0":1,"c399":1}`}, 101)...)
	if n := count(t, db, `SELECT SUM(c0 + c399) FROM wide`); n != 202 {
		t.Errorf("the rows add up to %d, want 202", n)
	}
}
