package sqlsink_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
)

// testOddOutputs tests outputs that are not one JSON value, or are nested so deep that a dead letter cannot embed them. They become
// dead letters. The mappers of others may send such outputs, and they must not end the sink.
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
