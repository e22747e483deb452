//go:build postgres

package postgrestest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chunkline/chunkline/internal/postgrestest"
)

// Committed data survives SIGKILL, and the databases are separate.
func TestServer(t *testing.T) {
	s := postgrestest.Start(t)
	a, b := s.NewDatabase(t), s.NewDatabase(t)
	s.Exec(t, a, "CREATE TABLE one (n int); INSERT INTO one VALUES (7)")
	s.Kill(t)
	s.Restart(t)
	s.Exec(t, b, "CREATE TABLE one (n int)")
	conn, err := pgx.Connect(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT n FROM one").Scan(&n); err != nil || n != 7 {
		t.Errorf("after the crash n is %d, %v; want 7", n, err)
	}
}
