package main

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	_ "modernc.org/sqlite" // registers the driver

	"github.com/chunkline/chunkline/internal/app"
)

func openDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// textsOf returns the texts in the only column of a query's result.
func textsOf(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all strings.Builder
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all.WriteString(text + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestSQLiteOutput: every command works with a database in place of the output file.
func TestSQLiteOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, values := numbers(250)
	in, file := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "out.db")
	out := "sqlite:" + file
	r := must(t, 4, "run", "-i", in, "-o", out, "-m", `if .n == 7 then error("seven") else .n end`, "--json").report(t)
	if r.Outputs != 249 || r.Dead != 1 || r.Output != "table outputs of sqlite:"+file || r.DeadFile != "table dead_letters of sqlite:"+file {
		t.Errorf("report is %+v", r)
	}
	wantWords(t, must(t, 0, "dead", "list", "-o", out).stdout, `"ordinal":7,"chunk":0`, "seven", `"object":{"n":7}`)
	must(t, 0, "verify", "-o", out)
	wantWords(t, must(t, 2, "run", "-i", in, "-o", out, "-m", ".n").err.Error(), "was begun with the transform")
	must(t, 0, "dead", "retry", "-o", out, "-m", ".n")
	db := openDB(t, file)
	if got := textsOf(t, db, "SELECT value FROM outputs WHERE job = 'run' ORDER BY ordinal, part"); got != values {
		t.Errorf("table outputs has %.200q, want %.200q", got, values)
	}
	must(t, 0, "verify", "-o", out)
	again := must(t, 0, "run", "-i", in, "-o", out, "-m", ".n", "--accept-change", "--json").report(t)
	if again.Resumed != 250 || again.Dead != 0 {
		t.Errorf("a run of what is done reports %+v", again)
	}
	wantWords(t, must(t, 0, "redo", "-o", out, "--version", "jq:.n").stdout, "objects in 1 chunks")
	must(t, 1, "verify", "-o", out)

	second := write(t, filepath.Join(dir, "second"), objects+objects)
	wantWords(t, must(t, 1, "run", "-i", second, "-o", out, "-m", ".n", "--accept-change").err.Error(), "sink was begun with another plan: job run of sqlite:"+file, "objects are saved in it) belongs to it, so choose another --job, or another --output; it was begun with")
	must(t, 0, "run", "-i", second, "-o", out, "-m", ".n", "--job", "second")
	wantWords(t, must(t, 2, "verify", "-o", out).err.Error(), "it has the jobs run, second: name one with --job")
	must(t, 0, "verify", "-o", out, "--job", "second")
	if got := textsOf(t, db, "SELECT value FROM outputs WHERE job = 'second' ORDER BY ordinal, part"); got != values+values {
		t.Errorf("job second has %.200q", got)
	}
	none := must(t, 2, "verify", "-o", out, "--job", "nope").err.Error()
	wantWords(t, none, "there is no job nope, only run, second")
	if strings.Contains(none, "cannot be reached") {
		t.Errorf("a job that does not exist: %s", none)
	}
	wantWords(t, must(t, 2, "verify", "-o", out+"?table=people&keys=id").err.Error(), `there is no setting "keys": did you mean key?`, "table, columns, key and mode")
	must(t, 2, "verify", "-o", "sqlite:"+filepath.Join(dir, "none.db"))
	if _, err := os.Stat(filepath.Join(dir, "none.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("verify made a database: %v", err)
	}
}

// TestSinksPage runs the examples of docs/sinks.md that need no server.
func TestSinksPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/sinks.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	db := openDB(t, "app.db")
	if _, err := db.Exec("CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```\n(chunkline .*?)```").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			code := 0
			if command, comment, said := strings.Cut(line, " # exit code 4"); said && comment != "" {
				line, code = command, 4
			}
			args, err := exec.Command("sh", "-c", "chunkline() { printf '%s\\n' \"$@\"; }\n"+line).Output()
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			must(t, code, strings.Split(strings.TrimSuffix(string(args), "\n"), "\n")...)
			ran++
		}
	}
	if ran < 8 {
		t.Errorf("%d examples ran", ran)
	}
	if got := textsOf(t, db, "SELECT count(*) FROM people"); got != "1000\n" {
		t.Errorf("table people has %s rows", got)
	}
}

// TestDatabaseWithoutConnections: commands wait for a server that accepts no connections, say so, and end when they are
// interrupted.
func TestDatabaseWithoutConnections(t *testing.T) {
	t.Parallel()
	const secret = "canary-5d90"
	in := write(t, filepath.Join(t.TempDir(), "in"), "{}\n")
	for name, args := range map[string][]string{
		"run": {"run", "-i", in, "-m", "."}, "verify": {"verify", "--job", "run"}, "dead list": {"dead", "list"}, "dead retry": {"dead", "retry", "-m", "."},
		"redo": {"redo", "--version", "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			tries := 0
			address := refusingPostgres(t, func() {
				if tries++; tries == 2 {
					interrupt()
				}
			})
			r := chunklineWith(ctx, strings.NewReader(""), append(args, "-o", "postgres://me:"+secret+"@"+address+"/app?sslmode=disable")...)
			r.want(t, app.ExitInterrupted)
			wantWords(t, r.stderr, "waiting for the database (0s): sorry, too many clients already")
			wantWords(t, r.err.Error(), "stopped while opening the sink")
			if tries != 2 || strings.Contains(r.stderr+r.err.Error(), secret) {
				t.Errorf("after %d tries: %s%v", tries, r.stderr, r.err)
			}
		})
	}
}

// TestFolderOfAnotherDatabase: input that was kept for the job of another database is not taken for this job's.
func TestFolderOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, file := write(t, filepath.Join(dir, "in"), "1\n"), filepath.Join(dir, "out.db")
	run := []string{"run", "-i", "cmd:cat " + in, "-o", "sqlite:" + file, "-m", "."}
	must(t, 0, run...)
	write(t, in, "2\n")
	must(t, 0, run...) // the job is done: what was kept counts
	must(t, 0, "verify", "-o", "sqlite:"+file)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	kept := jobFolder("sqlite:"+file, "run")
	wantWords(t, must(t, app.ExitUsage, run...).err.Error(), kept, "has the input of another job", "remove the folder")
	if err := os.RemoveAll(kept); err != nil {
		t.Fatal(err)
	}
	must(t, 0, run...)
	if got := textsOf(t, openDB(t, file), "SELECT value FROM outputs"); got != "2\n" {
		t.Errorf("table outputs has %q, want the new input", got)
	}
	write(t, filepath.Join(kept, sinkFile), "ANOTHER\n")
	wantWords(t, must(t, app.ExitUsage, "verify", "-o", "sqlite:"+file).err.Error(), "has the input of another job")

	names := map[string]bool{}
	for _, server := range []string{"a/app", "b/app", "a/other", "a:5433/app"} {
		names[jobFolder("postgres://me:secret@"+server, "run")] = true
	}
	if len(names) != 4 || !names["a-5432-app.run.chunkline"] {
		t.Errorf("jobs of 4 databases of PostgreSQL have the folders %v", names)
	}
}

// refusingPostgres serves as a PostgreSQL server with too many clients, and calls before in front of each of its
// refusals.
func refusingPostgres(t *testing.T, before func()) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			client := pgproto3.NewBackend(conn, conn)
			_, err = client.ReceiveStartupMessage()
			before()
			client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "53300", Message: "sorry, too many clients already"})
			if err := errors.Join(err, client.Flush(), conn.Close()); err != nil {
				t.Logf("refuse a client: %v", err)
			}
		}
	}()
	return listener.Addr().String()
}

// TestDatabasePassword: no message shows the password of a database.
func TestDatabasePassword(t *testing.T) {
	t.Parallel()
	const secret = "canary-81c2"
	in := write(t, filepath.Join(t.TempDir(), "in"), "{}\n")
	for _, out := range []string{
		"postgres://me:" + secret + "@127.0.0.1:1/app", "postgres://me:" + secret + "@@127.0.0.1:1/app", "postgres://127.0.0.1:1/app?user=me&password=" + secret,
		"postgres://me:" + secret + "@127.0.0.1:1/app?table=people", "postgresql://me:" + secret + "@127.0.0.1:port/app",
		"mysql://me:" + secret + "@127.0.0.1/app", "s3://me:" + secret + "@data/out", "gs://me:" + secret + "@data/out", "azblob://me:" + secret + "@data/out", "file://me:" + secret + "@host/out.jsonl",
	} {
		for _, args := range [][]string{{"run", "-i", in, "-m", "."}, {"verify"}, {"dead", "list"}, {"dead", "retry", "-m", "."}, {"redo", "--version", "v"}} {
			r := chunkline(t, append(args, "-o", out)...)
			if r.code == 0 || strings.Contains(r.stdout+r.stderr+r.err.Error()+shown(out), secret) {
				t.Errorf("%v -o %s: code %d, %v", args, out, r.code, r.err)
			}
		}
	}
}
