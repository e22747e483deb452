package sqlsink_test

import (
	"fmt"
	"path/filepath"
	"slices"
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

// openBench opens a new job.
func openBench(b *testing.B, spec, job string) *sqlsink.Sink {
	s, err := sqlsink.Open(b.Context(), spec, job, sqlsink.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if _, err := s.Claim(b.Context(), sinktest.Plan("a"), "f1"); err != nil {
		b.Fatal(err)
	}
	if have := s.Summary(); have.Chunks > 0 {
		b.Fatalf("job %s has %d chunks already, so commits would find duplicates", job, have.Chunks)
	}
	return s
}

// commitBench commits a group of which nothing is there yet.
func commitBench(b *testing.B, s *sqlsink.Sink, group []sink.Result) {
	outcomes, err := s.Commit(b.Context(), group)
	if err != nil {
		b.Fatal(err)
	}
	if i := slices.IndexFunc(outcomes, func(o sink.Outcome) bool { return o != sink.Committed }); i >= 0 {
		b.Fatalf("chunk %d: %s", group[i].Chunk, outcomes[i])
	}
}

// benchCommits commits groups of small rows; one iteration is a commit of groupRows.
func benchCommits(b *testing.B, spec, job string) {
	s := openBench(b, spec, job)
	next := chunk.ID(0)
	for b.Loop() {
		b.StopTimer()
		group := benchGroup(next)
		next += chunk.ID(len(group))
		b.StartTimer()
		commitBench(b, s, group)
	}
	b.ReportMetric(groupRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

const benchTable = "table=people&columns=id,name&key=id"

func BenchmarkSQLite(b *testing.B) {
	b.Run("outputs", func(b *testing.B) { benchCommits(b, "sqlite:"+filepath.Join(b.TempDir(), "bench.db"), "own") })
	b.Run("table", func(b *testing.B) {
		sqlite, db := newSQLite(b)
		if _, err := db.Exec("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)"); err != nil {
			b.Fatal(err)
		}
		benchCommits(b, sqlite+"?"+benchTable, "table")
	})
}
