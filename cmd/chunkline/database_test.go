package main

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // registers the driver
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
	wantWords(t, must(t, 1, "run", "-i", second, "-o", out, "-m", ".n", "--accept-change").err.Error(), "another plan", "use another job name")
	must(t, 0, "run", "-i", second, "-o", out, "-m", ".n", "--job", "second")
	wantWords(t, must(t, 2, "verify", "-o", out).err.Error(), "it has the jobs run, second: name one with --job")
	must(t, 0, "verify", "-o", out, "--job", "second")
	if got := textsOf(t, db, "SELECT value FROM outputs WHERE job = 'second' ORDER BY ordinal, part"); got != values+values {
		t.Errorf("job second has %.200q", got)
	}
	must(t, 3, "verify", "-o", "sqlite:"+filepath.Join(dir, "none.db"))
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

// TestDatabasePassword: no message shows the password of a database.
func TestDatabasePassword(t *testing.T) {
	t.Parallel()
	const secret = "canary-81c2"
	in := write(t, filepath.Join(t.TempDir(), "in"), "{}\n")
	for _, out := range []string{
		"postgres://me:" + secret + "@127.0.0.1:1/app", "postgres://me:" + secret + "@@127.0.0.1:1/app", "postgres://127.0.0.1:1/app?user=me&password=" + secret,
		"postgres://me:" + secret + "@127.0.0.1:1/app?table=people", "postgresql://me:" + secret + "@127.0.0.1:port/app",
		"mysql://me:" + secret + "@127.0.0.1/app", "file://me:" + secret + "@host/out.jsonl",
	} {
		for _, args := range [][]string{{"run", "-i", in, "-m", "."}, {"verify"}, {"dead", "list"}, {"dead", "retry", "-m", "."}, {"redo", "--version", "v"}} {
			r := chunkline(t, append(args, "-o", out)...)
			if r.code == 0 || strings.Contains(r.stdout+r.stderr+r.err.Error()+shown(out), secret) {
				t.Errorf("%v -o %s: code %d, %v", args, out, r.code, r.err)
			}
		}
	}
}
