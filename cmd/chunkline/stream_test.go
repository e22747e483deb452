package main

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // registers the driver
)

// TestRunCommand: a job can read the output of a command. A second run and verify read
// it from the work folder.
func TestRunCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, runs := filepath.Join(dir, "out"), filepath.Join(dir, "runs")
	input := `cmd:sh -c 'echo run >>"$0"; printf "id,name\n1,a\n2,\"b,c\"\n"' ` + runs
	args := []string{"run", "-i", input, "--format", "csv&types=id:int", "-o", out, "-t", "identity"}
	for range 2 {
		must(t, 0, args...)
		wantFile(t, out, "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"b,c\"}\n")
		wantWords(t, must(t, 0, "verify", "-o", out).stdout, "2 objects", " 0 problems")
	}
	wantFile(t, runs, "run\n")
	r := must(t, 1, "run", "-i", strings.Replace(input, "echo", "true; echo", 1), "-o", out, "-t", "identity")
	wantWords(t, r.err.Error(), "sink was begun with another plan")
	wantWords(t, must(t, 2, "run", "-i", input, "-i", runs, "-o", out, "-t", "identity").err.Error(), "a command, an API or a query must be the only input")
}

// TestRunCommandFails: a job whose command fails is not done, and continues when the
// command succeeds.
func TestRunCommandFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, works := filepath.Join(dir, "out"), filepath.Join(dir, "works")
	args := []string{"run", "-i", `cmd:sh -c 'echo 1; echo 2; if ! [ -e "$0" ]; then echo no network >&2; exit 3; fi; echo 3' ` + works, "-o", out, "-t", "identity", "--chunk-size", "1"}
	for range 2 {
		r := must(t, 1, args...)
		wantWords(t, r.err.Error(), "read cmd:sh -c", "the command failed with exit status 3: no network")
		wantWords(t, r.stderr, "no network\n")
		if _, err := os.Stat(out); err == nil || strings.Contains(r.stderr, "job done") {
			t.Errorf("the job is done: %v, %s", err, r.stderr)
		}
		wantWords(t, must(t, 1, "verify", "-o", out).err.Error(), "no run has read the whole stream yet")
	}
	write(t, works, "")
	must(t, 0, args...)
	wantFile(t, out, "1\n2\n3\n")
}

// TestRunGivenAgain: standard input that is piped in again must have the same content.
func TestRunGivenAgain(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	args := []string{"run", "-o", out, "-t", "identity"}
	for _, c := range []struct {
		text string
		code int
		want string
	}{
		{"1\n2\n", 0, ""},
		{"1\n2\n", 0, ""},
		{"1\n3\n", 1, "it has other bytes than in the run before"},
		{"", 1, "it is shorter than in the run before"},
		{"1\n2\n3\n", 1, "it is longer than in the run before"},
		{"1\n2\n", 0, ""},
	} {
		r := chunklineWith(t.Context(), strings.NewReader(c.text), args...)
		r.want(t, c.code)
		if c.want != "" {
			wantWords(t, r.err.Error(), c.want, "choose another output")
		}
		wantFile(t, out, "1\n2\n")
	}
}

// TestRunAPI: a job can read an API. Its token appears nowhere, not in output, report,
// log, dead letters or work folder. If the API fails, the job is not done, and the next
// run continues with the missing page.
func TestRunAPI(t *testing.T) {
	const canary = "canary-0123456789"
	t.Setenv("SOURCE_TOKEN", canary+"-t")
	t.Setenv("SOURCE_HEADERS", "X-Key: "+canary+"-h")
	var asked []string
	broken := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canary+"-t" || r.Header.Get("X-Key") != canary+"-h" {
			t.Errorf("headers %v", r.Header)
		}
		after := r.URL.Query().Get("after")
		asked = append(asked, after)
		switch {
		case after == "2" && broken:
			http.Error(w, fmt.Sprint("wrong: ", r.Header), http.StatusBadRequest)
		case after == "2":
			_, _ = io.WriteString(w, `{"items":[{"n":3}],"next":null}`)
		default:
			_, _ = io.WriteString(w, `{"items":[{"n":1},{"n":2}],"next":2}`)
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	out := filepath.Join(dir, "out.jsonl")
	args := []string{"run", "-i", server.URL + "/items?a=1,2#objects=.items&paging=cursor&at=.next&param=after", "-o", out, "-m", ".n", "--log-level", "debug"}
	first := must(t, 1, args...)
	wantWords(t, first.err.Error(), "page 2: the API answers 400 Bad Request: wrong: ")
	broken = false
	second := must(t, 0, args...)
	wantFile(t, out, "1\n2\n3\n")
	if want := []string{"", "2", "2"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	third := must(t, 0, "verify", "-o", out)
	if all := fmt.Sprint(first, second, third); strings.Contains(all, "canary") {
		t.Errorf("the output has a secret:\n%s", all)
	}
	wantNoCanary(t, dir)
	if r := must(t, 2, "run", "-i", "http://user:"+canary+"@h/", "-o", out, "-m", "."); strings.Contains(fmt.Sprint(r), "canary") {
		t.Errorf("the error has a password: %v", r)
	}
}

// TestRunQuery: a job can read the rows of a query. It reads them only once, even if the
// database changes, and a password appears nowhere.
func TestRunQuery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, file := filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "shop.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("CREATE TABLE people (id INTEGER, name TEXT); INSERT INTO people VALUES (2, 'b'), (1, 'a,\n')"); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "-i", "sqlite:" + file + "?query=SELECT name, id FROM people&key=id", "-o", out, "-t", "identity"}
	const want = `{"name":"a,\n","id":1}` + "\n" + `{"name":"b","id":2}` + "\n"
	for range 2 {
		must(t, 0, args...)
		wantFile(t, out, want)
		if _, err := db.Exec("DELETE FROM people WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
	}
	wantWords(t, must(t, 0, "verify", "-o", out).stdout, "2 objects", " 0 problems")
	wantWords(t, must(t, 1, "verify", "-i", args[2], "-o", out).stdout, "problem")

	refused := must(t, 1, "run", "-i", "postgres://me:canary@127.0.0.1:1/shop?sslmode=disable&query=SELECT 1 AS id&key=id", "-o", filepath.Join(dir, "p"), "-t", "identity", "--log-level", "debug")
	if wantWords(t, refused.err.Error(), "read postgres://me@127.0.0.1:1/shop?"); strings.Contains(fmt.Sprint(refused), "canary") {
		t.Errorf("the error has a password: %v", refused)
	}
	wantNoCanary(t, dir)
}
