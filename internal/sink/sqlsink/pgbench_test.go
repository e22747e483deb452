//go:build postgres

package sqlsink_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/postgrestest"
	"github.com/chunkline/chunkline/internal/sink"
)

// A round of BenchmarkPostgres is roundGroups commits of groupRows rows.
const (
	roundGroups = 5
	roundRows   = roundGroups * groupRows
)

// BenchmarkPostgres compares commits with psql's \copy of the same rows into a table of the same shape. In an iteration
// each way writes a round of rows, one way after the other, so that other load affects all of them. \copy writes its
// round in one transaction, which is the best case for it. CPU time is that of the client and of the server.
func BenchmarkPostgres(b *testing.B) {
	server := postgrestest.Start(b)
	url := server.NewDatabase(b)
	server.Exec(b, url, "CREATE TABLE copied_outputs (job text, ordinal bigint, part bigint, value json NOT NULL, PRIMARY KEY (job, ordinal, part))")
	for _, name := range []string{"copied_people", "insert", "ignore", "upsert"} {
		server.Exec(b, url, "CREATE TABLE "+name+" (id bigint PRIMARY KEY, name text)")
	}
	b.Log("\n" + compareWays(b, server, []way{
		copying(b, url, "copied_outputs", func(n uint64) string { return fmt.Sprintf("own\t%d\t0\t%s\n", n, benchLine(n)) }),
		committing(b, url, "outputs"),
		copying(b, url, "copied_people", func(n uint64) string { return fmt.Sprintf("%d\tsomebody %d\n", n, n) }),
		committing(b, url+"&columns=id,name&key=id&mode=insert&table=insert", "insert"),
		committing(b, url+"&columns=id,name&key=id&mode=ignore&table=ignore", "ignore"),
		committing(b, url+"&columns=id,name&key=id&mode=upsert&table=upsert", "upsert"),
	}))
}

// A way writes rows. prepare makes a round of them and returns the function that writes it, which returns the CPU time
// of other processes than this one and the server.
type way struct {
	name     string
	baseline bool // the ways that follow are compared with it
	prepare  func(round int) (write func() time.Duration)
}

func copying(b *testing.B, url, table string, line func(n uint64) string) way {
	return way{name: `\copy ` + table, baseline: true, prepare: func(round int) func() time.Duration {
		path := filepath.Join(b.TempDir(), "rows")
		var rows strings.Builder
		for n := range uint64(roundRows) {
			rows.WriteString(line(uint64(round)*roundRows + n))
		}
		if err := os.WriteFile(path, []byte(rows.String()), 0o600); err != nil {
			b.Fatal(err)
		}
		return func() time.Duration {
			psql := exec.Command("psql", "-q", "-X", url, "-c", fmt.Sprintf(`\copy %s FROM '%s'`, table, path))
			if out, err := psql.CombinedOutput(); err != nil {
				b.Fatalf("psql: %v: %s", err, out)
			}
			return psql.ProcessState.UserTime() + psql.ProcessState.SystemTime()
		}
	}}
}

func committing(b *testing.B, spec, job string) way {
	s := openBench(b, spec, job)
	next := chunk.ID(0)
	return way{name: job, prepare: func(int) func() time.Duration {
		var groups [][]sink.Result
		for range roundGroups {
			groups = append(groups, benchGroup(next))
			next += groupRows / chunkRows
		}
		return func() time.Duration {
			for _, group := range groups {
				commitBench(b, s, group)
			}
			return 0
		}
	}}
}

// compareWays returns a table of medians.
func compareWays(b *testing.B, server *postgrestest.Server, ways []way) string {
	rates, walls, cpus := make([][]float64, len(ways)), make([][]float64, len(ways)), make([][]float64, len(ways))
	for round := 0; b.Loop(); round++ {
		var copied struct{ wall, cpu float64 }
		for i, w := range ways {
			write := w.prepare(round)
			own, servers, begin := ownCPU(b), server.CPU(b), time.Now()
			others := write()
			wall := time.Since(begin).Seconds()
			cpu := (others + ownCPU(b) - own + server.CPU(b) - servers).Seconds()
			if w.baseline {
				copied.wall, copied.cpu = wall, cpu
			}
			rates[i], walls[i], cpus[i] = append(rates[i], roundRows/wall), append(walls[i], wall/copied.wall), append(cpus[i], cpu/copied.cpu)
		}
	}
	var text strings.Builder
	for i, w := range ways {
		fmt.Fprintf(&text, "%-22s %8.0f rows/s, wall time ÷ copy %5.2f, CPU time ÷ copy %5.2f\n", w.name, median(rates[i]), median(walls[i]), median(cpus[i]))
	}
	return text.String()
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// ownCPU returns the CPU time that this process has used.
func ownCPU(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
