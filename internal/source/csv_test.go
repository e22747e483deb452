package source

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
)

// TestOpen_table: the name or the options of an item select the table format, and the plan names both.
func TestOpen_table(t *testing.T) {
	t.Parallel()
	folder := write(t, "a.csv", "id,ok\n1,true\n", "b.TSV", "id\tok\n2\tx\n", "c.csv.gz", gz("id,ok\n3,\n"), "d.txt", "4;5\n", "sub/lines.csv", "{\"a\":1}\n")
	in := func(name string) string { return filepath.Join(folder, name) }
	for _, c := range []struct{ spec, job, want, identity string }{
		{spec: in("a.csv"), want: `{"id":"1","ok":"true"}`, identity: in("a.csv") + "?format=csv"},
		{spec: in("b.TSV") + "?types=id:int", want: `{"id":2,"ok":"x"}`, identity: in("b.TSV") + "?format=tsv&types=id:int"},
		{spec: in("*[vz]") + "?types=auto," + in("b.TSV"), want: `{"id":1,"ok":true} {"id":3,"ok":null} {"id":"2","ok":"x"}`},
		{spec: in("d.txt") + "?format=csv&delimiter=;&header=no&columns=x%2Cy", want: `{"x":"4","y":"5"}`, identity: in("d.txt") + "?format=csv&delimiter=;&header=no&columns=x%2Cy"},
		{spec: in("d.txt"), job: "csv&columns=x,y&header=no&delimiter=;&types=auto", want: `{"x":4,"y":5}`},
		{spec: in("sub/lines.csv") + "?format=lines", want: `{"a":1}`},
		{spec: in("sub/lines.csv"), job: "lines", want: `{"a":1}`},
	} {
		s, err := Open(Options{Format: mustFormat(t, c.job), Size: 10, Bytes: 1000}, c.spec)
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		cuts, err := drain(s)
		if got := strings.Join(objects(cuts), " "); err != nil || got != c.want || c.identity != "" && s.Identity() != c.identity {
			t.Errorf("%s: %s, %v, identity %s, want %s, %s", c.spec, got, err, s.Identity(), c.want, c.identity)
		}
		if again := open(t, s.Identity(), 10, 1000, nil); again.Plan().ID() != s.Plan().ID() {
			t.Errorf("%s: identity %q, again %q", c.spec, s.Identity(), again.Identity())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for spec, want := range map[string]string{
		in("d.txt") + "?types=auto":           "add format=csv",
		in("a.csv") + "?types=x:int":          `there is no column "x"`,
		in("a.csv") + "?delimiter=;":          `is ',' the delimiter`,
		in("a.csv") + "?sep=;":                `there is no option "sep"`,
		in("a.csv") + "?format=csv&sep=;":     `there is no option "sep"`,
		in("a.csv") + "?header=yes&columns=a": "the header has 2 columns, and columns= has 1 names",
	} {
		if _, err := Open(Options{Size: 10, Bytes: 1000}, spec); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
}

// TestReread_table: a table can be read again from every chunk on, and a changed
// header changes all of its chunks.
func TestReread_table(t *testing.T) {
	t.Parallel()
	path := filepath.Join(write(t, "a.csv", "a,b\n1,2\n\n3,\"x\ny\"\n5\n7,8\n"), "a.csv")
	s := open(t, path, 1, 100, nil)
	cuts, err := drain(s)
	if err != nil || len(cuts) != 4 || !s.Rereads() {
		t.Fatalf("%d chunks, %v, want 4", len(cuts), err)
	}
	if want := "line 6, byte 17: the row has 1 fields"; len(cuts[2].Bad) != 1 || !strings.Contains(cuts[2].Bad[0].Reason, want) {
		t.Errorf("flaws %v, want %q", cuts[2].Bad, want)
	}
	for _, c := range cuts {
		if again, err := s.Reread(t.Context(), c.Mark); err != nil || !same(again, c.Chunk) {
			t.Errorf("chunk %d: %q, %v, want %q", c.Chunk.ID, again.Body, err, c.Body)
		}
	}
	replaceFile(t, path, "A,b\n1,2\n\n3,\"x\ny\"\n5\n7,8\n")
	for _, i := range []int{0, 1, 3} {
		if again, err := s.Reread(t.Context(), cuts[i].Mark); err != nil || again.Digest() == cuts[i].Digest() {
			t.Errorf("chunk %d with another header: %q, %v", i, again.Body, err)
		}
	}
	for _, content := range []string{"a,b\n", "\xff\n" + strings.Repeat(" ", 100), strings.Repeat("\n", 100)} {
		replaceFile(t, path, content)
		if _, err := s.Reread(t.Context(), cuts[3].Mark); !errors.Is(err, ErrChanged) {
			t.Errorf("%q: %v, want %v", content, err, ErrChanged)
		}
	}
}

// TestSource_tableProperties: tables and Parquet files that are opened again give the
// same chunks, and so does Reread at every mark.
func TestSource_tableProperties(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	field := rapid.SampledFrom([]string{"", "1", "x", `"a"`, "\"b\nc\"", `"d""e"`, "é", "\xff", `f"`})
	rapid.Check(t, func(rt *rapid.T) {
		var spec []string
		for i := range rapid.IntRange(1, 3).Draw(rt, "files") {
			path := filepath.Join(folder, string(rune('a'+i)))
			content := "k,l\n"
			if rapid.IntRange(0, 2).Draw(rt, "kind") == 0 {
				content, path = parquetOf(t, numbered(rapid.IntRange(0, 30).Draw(rt, "rows")), 7), path+".parquet"
			} else {
				for range rapid.IntRange(0, 12).Draw(rt, "rows") {
					content += strings.Join(rapid.SliceOfN(field, 1, 3).Draw(rt, "row"), ",") + rapid.SampledFrom([]string{"\n", "\r\n", "\n\n"}).Draw(rt, "end")
				}
				path += ".csv"
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				rt.Fatal(err)
			}
			spec = append(spec, path)
		}
		size, most := rapid.IntRange(1, 5).Draw(rt, "size"), rapid.IntRange(1, 60).Draw(rt, "bytes")
		s, err := Open(Options{Size: size, Bytes: most}, strings.Join(spec, ","))
		if err != nil {
			rt.Fatal(err)
		}
		cuts, ended := drain(s)
		if _, ok := errors.AsType[*chunk.InputError](ended); ended != nil && !ok {
			rt.Fatal(ended)
		}
		second, err := Open(Options{Size: size, Bytes: most}, s.Identity())
		if err != nil {
			rt.Fatal(err)
		}
		again, _ := drain(second)
		if !slices.EqualFunc(cuts, again, func(a, b cut) bool { return same(a.Chunk, b.Chunk) && a.Mark == b.Mark }) {
			rt.Fatalf("%s again\n got %q\nwant %q", s.Identity(), objects(again), objects(cuts))
		}
		for _, c := range cuts {
			if again, err := second.Reread(t.Context(), c.Mark); err != nil || !same(again, c.Chunk) {
				rt.Fatalf("chunk %d of %s again: %q, %v, want %q", c.Chunk.ID, s.Identity(), again.Body, err, c.Body)
			}
		}
		if err := errors.Join(s.Close(), second.Close()); err != nil {
			rt.Fatal(err)
		}
	})
}
