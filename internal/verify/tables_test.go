package verify_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTables: the rows of a table are compared, and changed bytes are found. If a part of the log is damaged, the rest
// is compared.
func TestTables(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"out.csv", "out.csv.gz", "out.parquet"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(slices.Clone(job10), `{"n":10}`))
			w.output = filepath.Join(filepath.Dir(w.sink), name)
			w.fill(t, w.results(t, job10Dead))
			if got := w.verify(t); !got.OK() || got.OutputFile != w.output || got.Outputs != 8 {
				t.Fatalf("%+v", got)
			}
			whole, err := os.ReadFile(w.output)
			if err != nil {
				t.Fatal(err)
			}
			wrong := func(what string, content []byte) {
				t.Helper()
				change(t, w.output, func([]byte) []byte { return content })
				if got := w.verify(t); got.OK() || !strings.Contains(fmt.Sprint(got.Problems), name) {
					t.Errorf("%s: %+v", what, got)
				}
			}
			header := 0
			if name == "out.csv.gz" { // the header of gzip has a time and other bytes without meaning
				header = 10
			}
			for i := header; i < len(whole); i += 1 + len(whole)/50 {
				changed := bytes.Clone(whole)
				changed[i] ^= 1 << (i % 7)
				wrong(fmt.Sprintf("byte %d of %d", i, len(whole)), changed)
			}
			wrong("cut off", whole[:len(whole)-1])
			wrong("empty", nil)
			rows := bytes.Repeat([]byte("1,,\n"), 2)
			wrong("more", append(bytes.Clone(whole), rows...))
			change(t, w.output, func([]byte) []byte { return whole })
			w.damage(t, `out \u00fc,\n\"5\".1`)
			wantProblems(t, w.verify(t), []string{"chunk 1: sink is damaged"})
		})
	}
}

// TestSkippedRows: if the outputs of a chunk are damaged and the file does not have their rows, the problem says
// whether the file ends there or cannot be read.
func TestSkippedRows(t *testing.T) {
	t.Parallel()
	short := func(rows []byte) []byte {
		rows, _, _ = bytes.Cut(rows, []byte("5.5,"))
		return rows
	}
	damaged := func(packed []byte) []byte {
		in, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		if _, err := z.Write(short(rows)); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		out.Bytes()[out.Len()-6] ^= 1 // in the checksum
		return out.Bytes()
	}
	for _, c := range []struct {
		name string
		edit func([]byte) []byte
		want string
	}{{"out.csv", short, "ends after byte"}, {"out.csv.gz", damaged, "cannot be read after byte"}} {
		w := newWorld(t, job10)
		w.output = filepath.Join(filepath.Dir(w.sink), c.name)
		w.fill(t, w.results(t, job10Dead))
		w.damage(t, `out \u00fc,\n\"5\".1`)
		change(t, w.output, c.edit)
		wantProblems(t, w.verify(t), []string{"chunk 1: sink is damaged", c.name + ": " + c.want})
	}
}

// TestEmptyTable: a table without objects has no rows, and no columns either.
func TestEmptyTable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"out.csv", "out.parquet"} {
		for _, lines := range [][]string{nil, job10[:1]} { // object 0 has no outputs
			w := newWorld(t, lines)
			w.output = filepath.Join(filepath.Dir(w.sink), name)
			w.fill(t, w.results(t, nil))
			if got := w.verify(t); !got.OK() || got.OutputFile != w.output {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
}
