//go:build postgres

package sqlsink_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chunkline/chunkline/internal/postgrestest"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

func openPostgres(t *testing.T, spec, job string) *sqlsink.Sink {
	t.Helper()
	s, err := sqlsink.Open(t.Context(), spec, job, sqlsink.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestPostgres has one server for all of its tests.
func TestPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *postgrestest.Server)
	}{
		{"is a sink", testIsASink},
		{"two savers", testTwoSavers},
		{"table", testPostgresTable},
		{"deferred constraints", testDeferredConstraints},
		{"deferrable arbiters", testDeferrableArbiters},
		{"secrets", testSecrets},
		{"errors of opening", testErrorsOfOpening},
		{"lost commits", testLostCommits},
		{"durable settings", testDurableSettings},
		{"server away", testServerAway},
		{"partition", testPartition},
		{"deadlocks", testDeadlocks},
		{"too many clients", testTooManyClients},
		{"killed server", testKilledServer},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, server) })
	}
}

func testIsASink(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	var mu sync.Mutex
	schemas := map[string]string{} // of the sinks that the suite names by a path
	t.Run("suite", func(t *testing.T) {
		sinktest.Run(t, func(t *testing.T, where, job string) (saver.Sink, error) {
			mu.Lock()
			defer mu.Unlock()
			if schemas[where] == "" {
				schemas[where] = fmt.Sprintf("s%d", len(schemas))
				server.Exec(t, url, "CREATE SCHEMA "+schemas[where])
			}
			s, err := sqlsink.Open(t.Context(), url+"&search_path="+schemas[where], job, sqlsink.Options{})
			if err != nil {
				return nil, err
			}
			return s, nil
		})
	})
}

// Two savers commit the same pieces at the same time: each is committed once, and both know it.
func testTwoSavers(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	savers := []*sqlsink.Sink{openPostgres(t, url, "job"), openPostgres(t, url, "job")}
	if _, err := savers[0].Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	var counts [][]int
	for i := range 60 {
		counts = append(counts, []int{1, i % 3, -(i % 2), 1})
	}
	var wg sync.WaitGroup
	outcomes := make([][]sink.Outcome, len(savers))
	for i, s := range savers {
		wg.Go(func() {
			all := sinktest.Chain(fmt.Sprint("saver", i), counts...)
			for len(all) > 0 {
				group := all[:min(len(all), 1+len(all)%7)]
				all = all[len(group):]
				got, err := s.Commit(t.Context(), group)
				if err != nil {
					t.Error(err)
					return
				}
				outcomes[i] = append(outcomes[i], got...)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for chunk := range counts {
		a, b := outcomes[0][chunk], outcomes[1][chunk]
		if a == b || !a.Durable() || !b.Durable() {
			t.Errorf("chunk %d is %s and %s, want committed and duplicate", chunk, a, b)
		}
	}
	want, _, _ := sinktest.Expect(sinktest.Chain("saver0", counts...)...)
	for _, s := range savers {
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := s.Summary()
		got.OutputBytes, want.OutputBytes = 0, 0 // the salts have the same length, but who knows who was first
		if got != want {
			t.Errorf("summary is %+v, want %+v", got, want)
		}
	}
	if _, err := savers[1].Finish(t.Context(), want.Chunks, want.Objects); err != nil {
		t.Error(err)
	}
}

// A server that is killed in the middle of commits, and started again: what was answered is there, each piece is there
// once, and the savers go on without being started again.
func testKilledServer(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	savers := []*sqlsink.Sink{openPostgres(t, url, "job"), openPostgres(t, url, "job")}
	if _, err := savers[0].Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	var counts [][]int
	for range 120 {
		counts = append(counts, []int{1, 2, 0})
	}
	all := sinktest.Chain("x", counts...)
	killing := make(chan struct{}, len(all)*2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i, s := range savers {
		wg.Go(func() {
			for n := range all {
				r := all[(n+i*len(all)/2)%len(all)]
				for {
					outcomes, err := s.Commit(ctx, []sink.Result{r})
					if errors.Is(err, sink.ErrUnreachable) {
						continue // as mappers do: they send it again
					}
					if err != nil || !outcomes[0].Durable() {
						t.Errorf("commit chunk %d: %v, %v", r.Chunk, outcomes, err)
						cancel()
						return
					}
					break
				}
				killing <- struct{}{}
			}
		})
	}
	for range 3 {
		for range 40 {
			<-killing
		}
		server.Kill(t)
		server.Restart(t)
	}
	wg.Wait()
	want, _, _ := sinktest.Expect(all...)
	sum, err := savers[0].Finish(t.Context(), want.Chunks, want.Objects)
	if err != nil {
		t.Fatal(err)
	}
	sum.Output, sum.DeadFile = "", ""
	if sum != want {
		t.Errorf("summary is %+v, want %+v", sum, want)
	}
	fresh := openPostgres(t, url, "job")
	if got := fresh.Summary(); got.Objects != want.Objects || got.Outputs != want.Outputs {
		t.Errorf("a new process sees %+v, want %+v", got, want)
	}
}

// A commit while the server is away is answered with ErrUnreachable, and the same call succeeds later.
func testServerAway(t *testing.T, server *postgrestest.Server) {
	s := openPostgres(t, server.NewDatabase(t), "job")
	if _, err := s.Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	server.Kill(t)
	all := sinktest.Chain("x", []int{1}, []int{2})
	_, err := s.Commit(t.Context(), all)
	if !errors.Is(err, sink.ErrUnreachable) {
		t.Fatalf("commit without a server: %v, want ErrUnreachable", err)
	}
	noSecret(t, err.Error())
	server.Restart(t)
	if outcomes, err := s.Commit(t.Context(), all); err != nil || outcomes[0] != sink.Committed {
		t.Fatalf("commit to the server that is back: %v, %v", outcomes, err)
	}
}

// A server whose connections all have other clients is away, to a sink that opens and to one that is open: the error says
// why, and the same call succeeds once there are connections again.
func testTooManyClients(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	s := openPostgres(t, url, "job")
	if _, err := s.Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, url, "ALTER SYSTEM SET max_connections = 8")
	server.Kill(t) // the sink's own connections end, too
	server.Restart(t)
	var others []*pgx.Conn
	for {
		other, err := pgx.Connect(t.Context(), url)
		if err != nil {
			if !strings.Contains(err.Error(), "53300") {
				t.Fatal(err)
			}
			break
		}
		others = append(others, other)
	}
	all := sinktest.Chain("x", []int{1}, []int{2})
	_, committing := s.Commit(t.Context(), all)
	_, opening := sqlsink.Open(t.Context(), url, "job", sqlsink.Options{})
	for what, err := range map[string]error{"commit": committing, "open": opening} {
		if !errors.Is(err, sink.ErrUnreachable) || !sqlsink.TurnedAway(err) || !strings.Contains(err.Error(), "too many clients") {
			t.Errorf("%s: %v, want ErrUnreachable that says too many clients", what, err)
		}
		noSecret(t, fmt.Sprint(err))
	}
	for _, other := range others {
		if err := other.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for { // a process of the server may need a moment to end after its client has gone
		outcomes, err := s.Commit(t.Context(), all)
		if errors.Is(err, sink.ErrUnreachable) {
			continue
		}
		if err != nil || outcomes[0] != sink.Committed {
			t.Errorf("commit with connections again: %v, %v", outcomes, err)
		}
		break
	}
	openPostgres(t, url, "job")
	server.Exec(t, url, "ALTER SYSTEM RESET max_connections")
	server.Kill(t)
	server.Restart(t)
}

// Errors of opening have their cause once, first, and say what to do. Without sslmode the client library also tries
// TLS, which the server does not have.
func testErrorsOfOpening(t *testing.T, server *postgrestest.Server) {
	url := strings.Replace(server.NewDatabase(t), "sslmode=disable", "application_name=test", 1)
	openPostgres(t, url+"&statement_timeout=60s&search_path=public", "a-job")
	const own = "the settings of a table of yours are table, columns, key and mode"
	for name, test := range map[string]struct {
		spec, job string
		kind      error
		text      string
	}{
		"misspelt key":     {url + "&table=people&columns=id&keys=id", "job", sink.ErrSettings, `unrecognized configuration parameter "keys": did you mean key? ` + own},
		"misspelt columns": {url + "&table=people&column=id", "job", sink.ErrSettings, `unrecognized configuration parameter "column": did you mean columns? ` + own},
		"wrong value":      {url + "&statement_timeout=soon", "job", sink.ErrSettings, `invalid value for parameter "statement_timeout"`},
		"fixed setting":    {url + "&fsync=off", "job", sink.ErrSettings, `parameter "fsync" cannot be changed now`},
		"wrong password": {
			strings.Replace(url, postgrestest.Password, "x", 1), "job", sink.ErrSettings,
			`password authentication failed for user "postgres": set the password in PGPASSWORD, in ~/.pgpass or in the URL`,
		},
		"no server": {strings.Replace(url, server.Addr, "127.0.0.1:1", 1), "job", sink.ErrUnreachable, "dial tcp 127.0.0.1:1: connect: connection refused"},
		"no job":    {url, "nope", sink.ErrSettings, "there is no job nope, only a-job"},
	} {
		s, err := sqlsink.Open(t.Context(), test.spec, test.job, sqlsink.Options{Existing: name == "no job"})
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		if _, cause, _ := strings.Cut(err.Error(), ": "); !errors.Is(err, test.kind) || !strings.HasPrefix(cause, test.text) || strings.Count(cause, test.text) > 1 || strings.Contains(cause, "TLS") {
			t.Errorf("%s: %v, want the cause %q first and once, and the kind %q", name, err, test.text, test.kind)
		}
	}
}

// A database that was restored to an earlier state is noticed before anything is committed to it.
func testLostCommits(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	s := openPostgres(t, url, "job")
	if _, err := s.Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	all := sinktest.Chain("x", []int{1}, []int{2})
	if _, err := s.Commit(t.Context(), all[:1]); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, url, "DELETE FROM outputs; DELETE FROM progress; UPDATE chunkline_jobs SET changes = changes - 1, chunks = 0, objects = 0")
	if _, err := s.Commit(t.Context(), all[1:]); !errors.Is(err, sink.ErrBroken) || !errors.Is(err, sink.ErrDamaged) {
		t.Fatalf("commit to a database that lost a commit: %v, want ErrBroken and ErrDamaged", err)
	}
}

// What makes commits lose their durability is refused, or set right.
func testDurableSettings(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	server.Exec(t, url, "ALTER ROLE postgres SET synchronous_commit = off; CREATE UNLOGGED TABLE quick (id int)")
	s := openPostgres(t, url, "job")
	if _, err := s.Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlsink.Open(t.Context(), url+"&table=quick&columns=id", "other", sqlsink.Options{}); !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), "SET LOGGED") {
		t.Errorf("open with an unlogged table: %v", err)
	}
	for _, setting := range []string{"full_page_writes", "fsync"} {
		server.Exec(t, url, "ALTER SYSTEM SET "+setting+" = off")
		server.Exec(t, url, "SELECT pg_reload_conf()")
		server.Kill(t)
		server.Restart(t)
		_, err := sqlsink.Open(t.Context(), url, "job", sqlsink.Options{})
		if !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), setting+" = off") {
			t.Errorf("open with %s off: %v, want ErrSettings", setting, err)
		}
		server.Exec(t, url, "ALTER SYSTEM RESET "+setting)
		server.Exec(t, url, "SELECT pg_reload_conf()")
	}
}

// No error of opening shows the password.
func testSecrets(t *testing.T, server *postgrestest.Server) {
	right := server.NewDatabase(t)
	for name, spec := range map[string]string{
		"no such database": strings.Replace(right, "/test", "/nothing", 1),
		"wrong password":   strings.Replace(right, postgrestest.Password, postgrestest.Password+"x", 1),
		"no server":        strings.Replace(right, server.Addr, "127.0.0.1:1", 1),
		"wrong port":       strings.Replace(right, server.Addr, "127.0.0.1:port", 1),
		"password with @":  strings.Replace(right, "@", "@@", 1),
		"no table":         right + "&table=nothing&columns=id",
		"unknown setting":  right + "&nothing=1",
	} {
		s, err := sqlsink.Open(t.Context(), spec, "job", sqlsink.Options{})
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		t.Logf("%s: %v", name, err)
		noSecret(t, err.Error())
	}
	s := openPostgres(t, right, "job")
	_, at := s.Identity()
	noSecret(t, at+s.Summary().Output)
	if u, err := url.Parse(at); err != nil || u.Host != server.Addr {
		t.Errorf("identity is at %s, want %s", at, server.Addr)
	}
}

func noSecret(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, postgrestest.Password) {
		t.Errorf("the password is in: %s", text)
	}
}
