//go:build postgres

package sqlsink_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/postgrestest"
)

// BenchmarkPostgres compares commits with psql's \copy of the same rows into a table of the same shape.
func BenchmarkPostgres(b *testing.B) {
	server := postgrestest.Start(b)
	url := server.NewDatabase(b)
	b.Run("outputs", func(b *testing.B) { benchCommits(b, url, "own") })
	b.Run("table", func(b *testing.B) {
		server.Exec(b, url, "DROP TABLE IF EXISTS people; CREATE TABLE people (id bigint PRIMARY KEY, name text)")
		benchCommits(b, url+"&"+benchTable, "table")
	})
	b.Run("copy", func(b *testing.B) {
		server.Exec(b, url, `DROP TABLE IF EXISTS copied; CREATE TABLE copied (job text, ordinal bigint, part bigint, value json NOT NULL, PRIMARY KEY (job, ordinal, part))`)
		var rows bytes.Buffer
		for n := range uint64(groupRows * b.N) {
			fmt.Fprintf(&rows, "own\t%d\t0\t%s\n", n, strings.ReplaceAll(benchLine(n), `\`, `\\`))
		}
		psql := exec.Command("psql", "-q", "-X", url, "-c", `\copy copied FROM STDIN`)
		psql.Stdin = &rows
		b.ResetTimer() // all rows are one transaction, the best case for psql
		if out, err := psql.CombinedOutput(); err != nil {
			b.Fatalf("psql: %v: %s", err, out)
		}
		reportRows(b)
	})
}
