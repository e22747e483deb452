package objectsink

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/tabular"
)

// rowsOf returns the rows of all parts that the manifest lists, as other programs read them: the columns' names of each
// part, and the fields.
func rowsOf(t *testing.T, m *memory, format tabular.Format) (names, rows []string) {
	t.Helper()
	var list manifest
	if err := json.Unmarshal(m.objects[testSettings.prefix+manifestName].content, &list); err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Parts {
		content := m.objects[testSettings.prefix+p.Name].content
		before := len(rows)
		if format == tabular.Parquet {
			file, err := source.OpenParquetRows(bytes.NewReader(content), int64(len(content)))
			if err != nil {
				t.Fatal(err)
			}
			var object tabular.Object // of a row, which has all columns
			for row, err := file.Next(); !errors.Is(err, io.EOF); row, err = file.Next() {
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, string(row))
				if err := object.Parse(row); err != nil {
					t.Fatal(err)
				}
			}
			var columns []string
			for _, m := range object {
				columns = append(columns, string(m.Key))
			}
			names = append(names, strings.Join(columns, ","))
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			text, err := sink.Decompress(p.Name, bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			records, err := csv.NewReader(text).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, strings.Join(records[0], ","))
			for _, r := range records[1:] {
				rows = append(rows, fmt.Sprintf("%q", r))
			}
		}
		if n := uint64(len(rows) - before); n != p.Lines {
			t.Errorf("%s has %d rows, and the manifest says %d", p.Name, n, p.Lines)
		}
	}
	return names, rows
}

// tables returns three results, and the rows of a format that their outputs become, but for that of object 2. The first
// two are larger than any buffer before the bucket.
func tables(format tabular.Format) (all []sink.Result, rows []string) {
	noise := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // it never fails
	long := base64.StdEncoding.EncodeToString(noise)
	all = sinktest.Chain("one", []int{1, 1}, []int{1, 1}, []int{1})
	for i, lines := range []string{`{"a":1}` + "\n" + `{"b":"` + long + `"}` + "\n", "[3]\n" + `{"b":"x, ` + long + `"}` + "\n", `{"a":5,"b":null}` + "\n"} {
		all[i].Outputs = []byte(lines)
	}
	if format == tabular.Parquet {
		return all, []string{`{"a":1,"b":null}`, `{"a":null,"b":"` + long + `"}`, `{"a":null,"b":"x, ` + long + `"}`, `{"a":5,"b":null}`}
	}
	return all, []string{`["1" ""]`, `["" "` + long + `"]`, `["" "x, ` + long + `"]`, `["5" ""]`}
}

// TestTables: the parts of a table have the columns of all outputs, an output that is no row becomes a dead letter, and
// a part that was deleted is written again with the same bytes.
func TestTables(t *testing.T) {
	t.Parallel()
	for _, format := range formats {
		o := testSettings
		if o.format, o.size = format, 1; o.table() == 0 {
			continue
		}
		m := newMemory()
		s, err := openIn(t.Context(), m, o, sinktest.Job, Options{})
		if err != nil {
			t.Fatal(err)
		}
		claim(t, s, "f1")
		all, want := tables(o.table())
		commit(t, s, all, sink.Committed, sink.Committed, sink.Committed)
		if all[1].DeadCount != 1 || !slices.Equal(all[1].Counts, []int{0, 1}) {
			t.Errorf("%s: the output that is no row was committed as %+v", format, all[1])
		}
		sum, err := s.Finish(t.Context(), 3, 5)
		if err != nil || sum.Dead != 1 || !strings.HasSuffix(sum.Output, "part-*."+format) || !strings.Contains(sum.DeadFile, "_dead-*.jsonl") {
			t.Fatalf("%s: %+v, %v", format, sum, err)
		}
		names, rows := rowsOf(t, m, o.table())
		if !slices.Equal(names, []string{"a,b", "a,b", "a,b"}) || !slices.Equal(rows, want) {
			t.Errorf("%s: the parts have the columns %q and the rows %.1000q, want %.1000q", format, names, rows, want)
		}
		for _, kind := range partKinds {
			for _, name := range m.keys(o.prefix + string(kind)) {
				key := o.prefix + string(kind) + name
				content := m.objects[key].content
				delete(m.objects, key)
				if _, err := s.Finish(t.Context(), 3, 5); err != nil || !bytes.Equal(m.objects[key].content, content) {
					t.Errorf("%s was deleted, and is written again as %.100q, %v", key, m.objects[key].content, err)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTableChangesInFinish: another process replaces a result after Finish has read the columns, and the new output has
// another key. Finish begins again.
func TestTableChangesInFinish(t *testing.T) {
	t.Parallel()
	o := testSettings
	o.format, o.size = "csv", 1
	m := newMemory()
	open := func() *Sink {
		s, err := openIn(t.Context(), m, o, sinktest.Job, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	b := open()
	claim(t, b, "f1")
	all, want := tables(o.table())
	commit(t, b, all, sink.Committed, sink.Committed, sink.Committed)
	mended := all[2]
	mended.Outputs = []byte("{\"c\":6}\n")
	a := open() // it has to read the outputs, which are large
	replaced := false
	m.reading = func(key string) error {
		if !replaced && key == a.entryKey(3) {
			replaced = true
			return errors.Join(sinktest.Replace(t, b, mended), a.Refresh(t.Context()))
		}
		return nil
	}
	if _, err := a.Finish(t.Context(), 3, 5); err != nil || !replaced {
		t.Fatalf("finish: %v", err)
	}
	names, rows := rowsOf(t, m, o.table())
	for i := range want[:3] {
		want[i] = strings.TrimSuffix(want[i], "]") + ` ""]`
	}
	want[3] = `["" "" "6"]`
	if !slices.Equal(names, []string{"a,b,c", "a,b,c", "a,b,c"}) || !slices.Equal(rows, want) {
		t.Errorf("the parts have the columns %q and the rows %.1000q, want %.1000q", names, rows, want)
	}
}

// TestNoTable: outputs that were committed as lines and make no table are an error that names the object. Nothing is
// lost.
func TestNoTable(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := openTest(t, m)
	claim(t, s, "f1")
	all, _ := tables(tabular.Parquet)
	commit(t, s, all, sink.Committed, sink.Committed, sink.Committed)
	s.o.format = "parquet"
	_, err := s.Finish(t.Context(), 3, 5)
	if !errors.Is(err, tabular.ErrNoRow) || !strings.Contains(err.Error(), "object 2: ") || !strings.Contains(err.Error(), "format=jsonl") || errors.Is(err, sink.ErrUnreachable) {
		t.Errorf("finish as a table: %v", err)
	}
	finish(t, openTest(t, m), m, all)
}
