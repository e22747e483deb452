package sink_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// withOutputs returns a result of one output for each object.
func withOutputs(id chunk.ID, first uint64, lines ...string) sink.Result {
	counts := make([]int, len(lines))
	for i := range counts {
		counts[i] = 1
	}
	r := sinktest.Result(id, first, "", counts...)
	r.Outputs = []byte(strings.Join(lines, "\n") + "\n")
	return r
}

// TestRefusedRows: an object with an output that cannot be a row becomes a dead letter that has its outputs, when it is
// committed and when it is replaced. Those with other outputs stay. Only tables refuse them.
func TestRefusedRows(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"out.csv", "out.csv.gz", "out.parquet", "out.jsonl"} {
		home := t.TempDir()
		f := openClaimed(t, filepath.Join(home, "sink"), sink.FolderOptions{Output: filepath.Join(home, name)})
		r := sinktest.Result(0, 0, "", 1, 1, -1, 2, 0)
		r.Outputs = []byte("{\"a\":1}\n[1]\n{\"b\":2}\n{\"b\":2,\"b\":3}\n")
		old, dead := string(r.Outputs), string(r.Dead)
		group := []sink.Result{r, withOutputs(1, 5, `{}`, `"text"`)}
		commit(t, f, group...)
		if string(r.Outputs) != old || string(r.Dead) != dead || r.Counts[1] != 1 {
			t.Errorf("%s: the result's own bytes have changed", name)
		}
		refuses := name != "out.jsonl"
		if sum := f.Summary(); refuses && (sum.Dead != 4 || sum.Outputs != 2) || !refuses && (sum.Dead != 1 || sum.Outputs != 6) {
			t.Errorf("%s: %+v", name, sum)
		}
		if refuses {
			wantLetters(t, group[0], map[uint64]string{1: "not a JSON object", 2: "", 3: `the key "b" twice`})
			wantLetters(t, group[1], map[uint64]string{6: "not a JSON object"})
			mended := withOutputs(1, 5, `{}`, `{"mended":`)
			if err := sinktest.Replace(t, f, mended); err != nil {
				t.Fatal(err)
			}
			if sum := f.Summary(); sum.Dead != 4 {
				t.Errorf("%s: %d dead letters after another output that is no row, want 4", name, sum.Dead)
			}
			if err := sinktest.Replace(t, f, withOutputs(1, 5, `{}`, `{"mended":1}`)); err != nil {
				t.Fatal(err)
			}
			sum, err := f.Finish(t.Context(), 2, 7)
			if err != nil || sum.Dead != 3 || sum.Outputs != 3 {
				t.Fatalf("%s: %+v, %v", name, sum, err)
			}
			wantFile(t, sum.Output, sinktest.Content(name, []byte("{\"a\":1}\n{}\n{\"mended\":1}\n")))
		}
		closeIt(t, f)
	}
}

func wantLetters(t *testing.T, r sink.Result, reasons map[uint64]string) {
	t.Helper()
	n := 0
	for _, line := range chunk.Objects(r.Dead) {
		n++
		l, err := chunk.ParseDeadLetter(line)
		if err != nil {
			if !strings.Contains(string(line), `"ordinal":2,`) { // the suite's own have no object
				t.Error(err)
			}
			continue
		}
		if reason := reasons[l.Ordinal]; reason == "" || !strings.Contains(l.Error, reason) || len(l.Outputs) == 0 || r.Counts[l.Ordinal-r.First] != 0 {
			t.Errorf("dead letter %s of %v", line, r.Counts)
		}
	}
	if n != len(reasons) || r.DeadCount != n {
		t.Errorf("%d dead letters, counted %d, want %d", n, r.DeadCount, len(reasons))
	}
}

// TestNoTable: outputs that make no table are an error of Finish that names the folder. Nothing is lost: they become
// lines under another name.
func TestNoTable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		committed string // the output that the folder had when the outputs were committed
		lines     []string
		want      string
	}{
		"no key":             {"out.parquet", []string{"{}", "{}"}, "none of them has a key"},
		"committed as lines": {"out.jsonl", []string{`{"a":1}`, "2"}, "object 1: the output cannot be a row of a table: it is not a JSON object"},
	} {
		home := t.TempDir()
		dir := filepath.Join(home, "sink")
		f := openClaimed(t, dir, sink.FolderOptions{Output: filepath.Join(home, c.committed)})
		all := []sink.Result{withOutputs(0, 0, c.lines...)}
		commit(t, f, all...)
		closeIt(t, f)
		f = openClaimed(t, dir, sink.FolderOptions{Output: filepath.Join(home, "out.parquet")})
		for range 2 {
			if _, err := f.Finish(t.Context(), 1, 2); err == nil || errors.Is(err, sink.ErrBroken) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		}
		if left, err := filepath.Glob(filepath.Join(home, "out*")); err != nil || len(left) > 0 {
			t.Errorf("%s: there are %v, %v", name, left, err)
		}
		want(t, f, all...)
		closeIt(t, f)
		f = openClaimed(t, dir, sink.FolderOptions{Output: filepath.Join(home, "out.jsonl")})
		finish(t, f, all...)
		closeIt(t, f)
	}
}

// TestDamagedTable: damage of the log is reported as damage, and not as an output that is no row.
func TestDamagedTable(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dir := filepath.Join(home, "sink")
	f := openClaimed(t, dir, sink.FolderOptions{Output: filepath.Join(home, "out.csv")})
	commit(t, f, withOutputs(0, 0, `{"long":"`+strings.Repeat("x", 3*sink.BufferSize)+`"}`, "{}"))
	patch(t, filepath.Join(dir, "log-00000"), sink.BufferSize, '"')
	if _, err := f.Finish(t.Context(), 1, 2); !errors.Is(err, sink.ErrDamaged) || !errors.Is(err, sink.ErrBroken) {
		t.Fatalf("finish: %v, want ErrDamaged", err)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) != 1 {
		t.Errorf("%v is there, %v", left, err)
	}
}
