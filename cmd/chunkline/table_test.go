package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/chunkline/chunkline/internal/saver"
)

// tableInput has objects of which the second has a key more.
const tableInput = `{"n":1,"s":"a,b"}
{"n":2,"s":null,"late":true}
`

// TestExport_table: a FILE whose name promises a table becomes one, as a whole or not at all, and does not replace
// another file.
func TestExport_table(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), tableInput), filepath.Join(dir, "out.jsonl")
	must(t, 0, "run", "-i", in, "-o", out, "-t", "identity")
	folder, err := openResult(t.Context(), &screen{w: t.Output()}, out, "", true)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	mux := http.NewServeMux()
	(&saver.Downloads{From: folder}).Register(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	rows := t.TempDir()
	path := filepath.Join(rows, "rows.csv")
	args := []string{"export", "--from", server.URL, "-o", path}

	wantWords(t, must(t, 0, args...).stdout, path)
	wantFile(t, path, "n,s,late\n1,\"a,b\",\n2,,true\n")
	wantWords(t, must(t, 2, append(args, "--columns", "s,n")...).err.Error(), path+" exists", "--force")
	must(t, 0, append(args, "--columns", "s,n", "--force")...)
	wantFile(t, path, "s,n\n\"a,b\",1\n,2\n")
	parquet := filepath.Join(rows, "rows.parquet")
	must(t, 0, "export", "--from", server.URL, "-o", parquet)
	must(t, 0, "run", "-i", parquet, "-o", filepath.Join(dir, "again.jsonl"), "-t", "identity")
	wantFile(t, filepath.Join(dir, "again.jsonl"), "{\"n\":1,\"s\":\"a,b\",\"late\":null}\n{\"n\":2,\"s\":null,\"late\":true}\n")
	wantWords(t, must(t, 2, "export", "--from", server.URL, "-o", filepath.Join(rows, "x.parquet.gz")).err.Error(), "use the name x.parquet")
	if left, err := os.ReadDir(rows); err != nil || len(left) != 2 {
		t.Errorf("%v; there are %v, want only the two tables", err, left)
	}
	wantWords(t, must(t, 2, append(args, "--columns", "n,n")...).err.Error(), "--columns", "twice")
	wantWords(t, must(t, 2, "export", "--from", server.URL, "-o", filepath.Join(rows, "x.jsonl"), "--columns", "n").err.Error(), ".csv")
}

// TestExport_noTable: a result with an output that is no object leaves no table.
func TestExport_noTable(t *testing.T) {
	t.Parallel()
	d, _, _ := newDepot(t, "job.jsonl", 3)
	rows := t.TempDir()
	wantWords(t, d.export(t, 1, filepath.Join(rows, "rows.csv")).err.Error(), "rows.csv", "line 1: ", "is not a JSON object")
	if left, err := os.ReadDir(rows); err != nil || len(left) > 0 {
		t.Errorf("%v; a refused export has left %v", err, left)
	}
}

// TestRun_table: run writes tables, in which outputs that are no rows are dead letters that can be mapped again. verify,
// dead list and dead retry know the files.
func TestRun_table(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"out.csv", "out.csv.zst", "out.parquet"} {
		dir := t.TempDir()
		in, out := write(t, filepath.Join(dir, "in.jsonl"), tableInput+"{\"n\":3,\"bad\":1}\n"), filepath.Join(dir, name)
		must(t, 4, "run", "-i", in, "-o", out, "-m", "if .bad then [.n] else . end")
		wantWords(t, must(t, 0, "dead", "list", "-o", out).stdout, "is not a JSON object", "[3]")
		if _, err := os.Stat(filepath.Join(dir, "out.dead.jsonl")); err != nil {
			t.Errorf("dead letters of %s: %v", name, err)
		}
		must(t, 0, "verify", "-o", out)
		must(t, 0, "dead", "retry", "-o", out, "-m", ".")
		must(t, 0, "verify", "-o", out)
		again := filepath.Join(dir, "again.jsonl")
		must(t, 0, "run", "-i", out, "-o", again, "-m", "[.n, .bad] | map(tostring)")
		null := map[bool]string{true: `"null"`, false: `""`}[name == "out.parquet"]
		wantFile(t, again, `["1",`+null+"]\n"+`["2",`+null+"]\n"+`["3","1"]`+"\n")
	}
}

// TestRun_refusedRows: objects whose outputs a table refused are read from the source again: by run with another
// transform, and by dead retry, which can be told where the source is now.
func TestRun_refusedRows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in.jsonl"), "{\"n\":1}\n{\"n\":2}\n"), filepath.Join(dir, "out.csv")
	must(t, 4, "run", "-i", in, "-o", out, "-m", "[.n]")
	must(t, 4, "run", "-i", in, "-o", out, "-m", "if .n == 1 then . else [.n] end", "--accept-change")
	moved := filepath.Join(dir, "moved.jsonl")
	if err := os.Rename(in, moved); err != nil {
		t.Fatal(err)
	}
	wantWords(t, must(t, 2, "dead", "retry", "-o", out, "-m", ".").err.Error(), "--input", "in.jsonl")
	must(t, 0, "dead", "retry", "-o", out, "-m", ".", "-i", moved)
	wantFile(t, out, "n\n1\n2\n")
}
