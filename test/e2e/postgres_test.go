//go:build postgres

package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chunkline/chunkline/internal/postgrestest"
	"github.com/chunkline/chunkline/test/proc"
)

// TestPostgresWithoutConnections: a saver and a run start while all connections of the PostgreSQL server have other
// clients. They wait, say so without the password, and finish their jobs once connections are free.
func TestPostgresWithoutConnections(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t)
	url := server.NewDatabase(t)
	server.Exec(t, url, "ALTER SYSTEM SET max_connections = 8")
	server.Kill(t)
	server.Restart(t)
	others := takeConnections(t, url)

	j := newJob(t, 3000)
	j.Out = url
	saver, fetcher := j.Saver(proc.HTTP()), j.Fetcher("ON_DONE=exit")
	mapper := j.Mapper("mapper", "users")
	run := proc.Start(t, proc.Spec{Dir: j.Dir, Label: "run", Program: "chunkline", Args: []string{"run", "-i", j.Source, "-o", url, "-t", "users"}})
	saver.Await("sorry, too many clients already")
	saver.AwaitCode("/healthz", http.StatusOK)
	saver.AwaitCode("/readyz", http.StatusServiceUnavailable)
	run.Await("waiting for the database (0s): sorry, too many clients already")

	for _, other := range others {
		if err := other.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	saver.Await("the database takes connections again")
	for _, p := range []*proc.Process{fetcher, run} {
		if code := p.Exit(); code != 0 {
			t.Errorf("%s ended with %d: %s", p.Label, code, p.Tail())
		}
	}
	proc.End(t, mapper, saver)
	for _, p := range []*proc.Process{saver, run} {
		if strings.Contains(p.Log(), postgrestest.Password) {
			t.Errorf("%s says the password: %s", p.Label, p.Log())
		}
	}
	for _, job := range []string{j.Name, "run"} {
		proc.Check(t, j.Source, outputsOf(t, url, job), filepath.Join(j.Dir, "no dead letters"), "")
	}
}

// takeConnections opens connections until the server has none left.
func takeConnections(t *testing.T, url string) (taken []*pgx.Conn) {
	t.Helper()
	for {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			if !strings.Contains(err.Error(), "too many clients") || len(taken) == 0 {
				t.Fatal(err)
			}
			return taken
		}
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		taken = append(taken, conn)
	}
}

// outputsOf writes the outputs of a job to a file, in input order, and returns its name.
func outputsOf(t *testing.T, url, job string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT value::text FROM outputs WHERE job = $1 ORDER BY ordinal, part", job)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	path := filepath.Join(t.TempDir(), job+".jsonl")
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
