//go:build postgres

package sqlsink_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/postgrestest"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

// objectsTable is a table of the user that would keep a row twice.
const (
	makeObjects  = "CREATE TABLE objects (object bigint, output bigint)"
	objectsTable = "&table=objects&columns=object,output"
)

// TestFailover has a server and its synchronous standby.
func TestFailover(t *testing.T) {
	server := postgrestest.Start(t)
	url := server.NewDatabase(t)
	server.Exec(t, url, makeObjects)
	standby := server.Standby(t)
	both := strings.Replace(url, server.Addr, server.Addr+","+standby.Addr, 1) + "&target_session_attrs=read-write"
	t.Run("no standby has the commit", func(t *testing.T) { testUnreplicated(t, standby, url) })
	t.Run("promotion", func(t *testing.T) { testPromotion(t, server, standby, both) })
}

// A COMMIT that waits for the standby is interrupted. PostgreSQL then shows the rows, although the standby lacks them.
// No saver answers or lists that they are there before the standby has them.
func testUnreplicated(t *testing.T, standby *postgrestest.Server, url string) {
	savers := map[string]*sqlsink.Sink{}
	// Each is interrupted once, and its server process may wait for the standby a little longer.
	for _, name := range []string{"first", "second", "third", "fourth"} {
		savers[name] = openPostgres(t, url+"&application_name="+name, "unreplicated")
	}
	if _, err := savers["first"].Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	all := sinktest.Chain("x", []int{1})
	commit := func(ctx context.Context, s *sqlsink.Sink) error {
		_, err := s.Commit(ctx, all)
		return err
	}
	standby.Kill(t)
	for _, try := range []struct {
		what, saver string
		want        error
		do          func(context.Context, *sqlsink.Sink) error
	}{
		{"commit", "first", sink.ErrUnreachable, commit},
		{"commit again", "second", sink.ErrUnreachable, commit},
		{"list", "third", context.Canceled, func(ctx context.Context, s *sqlsink.Sink) error {
			_, err := s.List(ctx, 0, 1)
			return err
		}},
		{"has", "fourth", context.Canceled, func(ctx context.Context, s *sqlsink.Sink) error {
			_, err := s.Has(ctx, []chunk.ID{0})
			return err
		}},
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := try.do(ctx, savers[try.saver]); !errors.Is(err, try.want) {
				t.Errorf("%s while the standby is away: %v, want %v", try.what, err, try.want)
			}
		}()
		awaitReplication(t, url, try.saver, done)
		interrupt()
		<-done
	}
	standby.Restart(t)
	s := savers["second"]
	if outcomes, err := s.Commit(t.Context(), all); err != nil || outcomes[0] != sink.Duplicate {
		t.Errorf("commit with the standby: %v, %v, want a duplicate", outcomes, err)
	}
	if entries, err := s.List(t.Context(), 0, 1); err != nil || len(entries) != 1 {
		t.Errorf("list with the standby: %v, %v, want one piece", entries, err)
	}
}

// awaitReplication returns when a COMMIT of the client waits for a standby, or done is closed.
func awaitReplication(t *testing.T, url, client string, done <-chan struct{}) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for {
		waiting := 0
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = $1", client).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
			return
		default:
		}
		if waiting > 0 {
			return
		}
	}
}

// The server is lost in the middle of commits, and its standby is promoted: each row is there once, and the savers
// continue without a restart.
func testPromotion(t *testing.T, server, standby *postgrestest.Server, url string) {
	savers := []*sqlsink.Sink{openPostgres(t, url+objectsTable, "job"), openPostgres(t, url+objectsTable, "job")}
	if _, err := savers[0].Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	var counts [][]int
	for range 80 {
		counts = append(counts, []int{1, 2, 0})
	}
	all := sinktest.Chain("x", counts...)
	half := make(chan struct{}, len(savers))
	var wg sync.WaitGroup
	for i, s := range savers {
		wg.Go(func() {
			for n := range all {
				if n == len(all)/2 {
					half <- struct{}{}
				}
				commitUntilDurable(t, s, all[(n+i*len(all)/2)%len(all)])
			}
		})
	}
	<-half
	server.Kill(t)
	standby.Promote(t)
	wg.Wait()
	wantObjectsOnce(t, savers[1], url, all)
}

// commitUntilDurable commits a result as mappers do: they send it again while the sink cannot be reached.
func commitUntilDurable(t *testing.T, s *sqlsink.Sink, r sink.Result) {
	for {
		outcomes, err := s.Commit(t.Context(), []sink.Result{r})
		if errors.Is(err, sink.ErrUnreachable) {
			continue
		}
		if err != nil || !outcomes[0].Durable() {
			t.Errorf("commit chunk %d: %v, %v", r.Chunk, outcomes, err)
		}
		return
	}
}

// wantObjectsOnce finishes the job and checks that the table objects has each output once.
func wantObjectsOnce(t *testing.T, s *sqlsink.Sink, url string, all []sink.Result) {
	t.Helper()
	want, _, _ := sinktest.Expect(all...)
	sum, err := s.Finish(t.Context(), want.Chunks, want.Objects)
	if err != nil || sum.Outputs != want.Outputs {
		t.Fatalf("finish: %+v, %v, want %+v", sum, err, want)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, different := count(t, db, "SELECT count(*) FROM objects"), count(t, db, "SELECT count(*) FROM (SELECT DISTINCT * FROM objects) AS o")
	if uint64(rows) != want.Outputs || rows != different {
		t.Errorf("the table has %d rows, %d of them different; want %d", rows, different, want.Outputs)
	}
}
