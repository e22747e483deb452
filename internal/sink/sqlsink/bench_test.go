package sqlsink_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

// A commit of the benchmarks has groupRows rows, like that of a busy saver.
const (
	chunkRows = 100
	groupRows = 100 * chunkRows
)

func benchLine(n uint64) string { return fmt.Sprintf(`{"id":%d,"name":"somebody %d"}`, n, n) }

// benchGroup returns a group of chunks with small rows, beginning with chunk from.
func benchGroup(from chunk.ID) []sink.Result {
	group := make([]sink.Result, 0, groupRows/chunkRows)
	for id := from; len(group) < cap(group); id++ {
		r := sink.Result{
			Chunk: id, First: uint64(id) * chunkRows, Objects: chunkRows, Of: chunkRows, Digest: sinktest.Digest(id, "source"),
			Attempt: 1, Mapper: "m", Version: "v1",
		}
		for i := range chunkRows {
			r.Counts = append(r.Counts, 1)
			r.Outputs = append(append(r.Outputs, benchLine(r.First+uint64(i))...), '\n')
		}
		group = append(group, r)
	}
	return group
}

// benchCommits commits groups of small rows; one iteration is a commit of groupRows.
func benchCommits(b *testing.B, spec, job string) {
	s, err := sqlsink.Open(b.Context(), spec, job, sqlsink.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Claim(b.Context(), sinktest.Plan("a"), "f1"); err != nil {
		b.Fatal(err)
	}
	next := chunk.ID(0)
	for b.Loop() {
		b.StopTimer()
		group := benchGroup(next)
		next += chunk.ID(len(group))
		b.StartTimer()
		if _, err := s.Commit(b.Context(), group); err != nil {
			b.Fatal(err)
		}
	}
	reportRows(b)
}

func reportRows(b *testing.B) {
	b.ReportMetric(groupRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

const benchTable = "table=people&columns=id,name&key=id"

func BenchmarkSQLite(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.db")
	b.Run("outputs", func(b *testing.B) { benchCommits(b, "sqlite:"+path, fmt.Sprint("own", b.N)) })
	b.Run("table", func(b *testing.B) {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("DROP TABLE IF EXISTS people; CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)"); err != nil {
			b.Fatal(err)
		}
		benchCommits(b, "sqlite:"+path+"?"+benchTable, "table")
	})
}
