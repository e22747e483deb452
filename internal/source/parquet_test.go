package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
)

// oneNumber is the row {"n":1}.
type oneNumber struct {
	N int64 `parquet:"n"`
}

func numbered(n int) (rows []oneNumber) {
	for i := range n {
		rows = append(rows, oneNumber{int64(i)})
	}
	return rows
}

// parquetOf returns a file whose row groups have this many rows.
func parquetOf[T any](t *testing.T, rows []T, group int, options ...parquet.WriterOption) string {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, append(options, parquet.MaxRowsPerRowGroup(int64(group)))...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

type part struct {
	X    *int32   `parquet:"x,optional"`
	Tags []string `parquet:"tags,list"`
}

type everyType struct {
	Bool     bool               `parquet:"bool"`
	Int      int64              `parquet:"int"`
	Unsigned uint64             `parquet:"unsigned"`
	Float    float32            `parquet:"float"`
	Double   float64            `parquet:"double"`
	Text     string             `parquet:"text"`
	Bytes    []byte             `parquet:"bytes"`
	Fixed    [3]byte            `parquet:"fixed"`
	UUID     [16]byte           `parquet:"uuid,uuid"`
	Money    int64              `parquet:"money,decimal(2:18)"`
	Huge     [16]byte           `parquet:"huge,decimal(3:38)"`
	Day      int32              `parquet:"day,date"`
	Moment   time.Time          `parquet:"moment,timestamp(microsecond)"`
	Old      deprecated.Int96   `parquet:"old"`
	JSON     string             `parquet:"json,json"`
	Missing  *string            `parquet:"missing,optional"`
	Part     *part              `parquet:"part,optional"`
	Parts    []part             `parquet:"parts,list"`
	Plain    []int32            `parquet:"plain"`
	Map      map[string]part    `parquet:"map"`
	Numbers  map[int32]*float64 `parquet:"numbers"`
}

// TestParquet_types: each type becomes JSON without loss.
func TestParquet_types(t *testing.T) {
	t.Parallel()
	x := int32(7)
	huge := [16]byte{15: 1}
	var least [16]byte
	for i := range least {
		least[i] = 0xff // -1
	}
	rows := []everyType{
		{Map: map[string]part{}},
		{
			Bool: true, Int: math.MinInt64, Unsigned: math.MaxUint64, Float: 0.1, Double: 1e21, Text: "é\n\"", Bytes: []byte{0xff, 0}, Fixed: [3]byte{1, 2, 3},
			UUID: [16]byte{0x12, 0x34, 15: 0xff}, Money: -5, Huge: huge, Day: 19_000, Moment: time.Date(2024, 2, 29, 12, 30, 0, 1000, time.UTC),
			Old: deprecated.Int96{1, 0, unixEpochDay + 1}, JSON: "{\"a\":\n[1]}", Part: &part{}, Parts: []part{{X: &x, Tags: []string{"a", ""}}, {}}, Plain: []int32{1, 2},
			Map: map[string]part{"k\"": {Tags: []string{"b"}}}, Numbers: map[int32]*float64{-1: nil},
		},
		{Huge: least, Double: math.Inf(-1), Float: float32(math.NaN()), Part: &part{X: &x, Tags: []string{"c"}}},
	}
	rows[0].JSON, rows[2].JSON = "1", "null"
	path := filepath.Join(write(t, "a", parquetOf(t, rows, 2)), "a")
	s := open(t, path, 1, 10, nil)
	cuts, err := drain(s)
	if s.Identity() != path+"?format=parquet" || err != nil {
		t.Fatalf("%s: %v", s.Identity(), err)
	}
	const empty = `"bool":false,"int":0,"unsigned":0,"float":0,"double":0,"text":"","bytes":"","fixed":"AAAA","uuid":"00000000-0000-0000-0000-000000000000",`
	want := []string{
		`{` + empty + `"money":0.00,"huge":0.000,"day":"1970-01-01",`,
		`{"bool":true,"int":-9223372036854775808,"unsigned":18446744073709551615,"float":0.1,"double":1e+21,"text":"é\n\"","bytes":"/wA=","fixed":"AQID",` +
			`"uuid":"12340000-0000-0000-0000-0000000000ff","money":-0.05,"huge":0.001,"day":"2022-01-08","moment":"2024-02-29T12:30:00.000001Z","old":"1970-01-02T00:00:00.000000001Z",` +
			`"json":{"a": [1]},"missing":null,"part":{"x":null,"tags":[]},"parts":[{"x":7,"tags":["a",""]},{"x":null,"tags":[]}],"plain":[1,2],` +
			`"map":{"k\"":{"x":null,"tags":["b"]}},"numbers":{"-1":null}}`,
		`"huge":-0.001,"day":"1970-01-01",`,
	}
	got := objects(cuts)
	if len(got) != 3 || !strings.HasPrefix(got[0], want[0]) || got[1] != want[1] || !strings.Contains(got[2], want[2]) {
		t.Errorf("got %s\nwant %s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, text := range []string{`"float":"NaN","double":"-Infinity"`, `"json":null,"missing":null,"part":{"x":7,"tags":["c"]},"parts":[],"plain":[],"map":{},"numbers":{}}`} {
		if !strings.Contains(got[2], text) {
			t.Errorf("%s has no %s", got[2], text)
		}
	}
	for i, c := range cuts {
		if !json.Valid([]byte(strings.TrimSuffix(string(c.Body), "\n"))) {
			t.Errorf("row %d is not JSON: %s", i, c.Body)
		}
		if again, err := s.Reread(t.Context(), c.Mark); err != nil || !same(again, c.Chunk) {
			t.Errorf("row %d again: %q, %v", i, again.Body, err)
		}
	}
}

// A row that JSON cannot represent becomes a dead letter with its place.
func TestParquet_flaws(t *testing.T) {
	t.Parallel()
	type row struct {
		Text string `parquet:"text"`
		JSON string `parquet:"json,json"`
		Day  int32  `parquet:"day,date"`
	}
	rows := []row{{"a", "1", 0}, {"\xff", "1", 0}, {"a", "{", 0}, {"a", "1", math.MaxInt32}, {"b", "2", 1}}
	s := open(t, filepath.Join(write(t, "a.parquet", parquetOf(t, rows, 10)), "a.parquet"), 10, 1000, nil)
	cuts, err := drain(s)
	got := objects(cuts)
	for i, object := range map[int]string{2: `{"text":"a","json":"ew==","day":"1970-01-01"}`, 3: `{"text":"a","json":1,"day":2147483647}`} {
		if i < len(got) && !strings.HasPrefix(got[i], object) {
			t.Errorf("%q, want %s", got[i], object)
		}
	}
	want := []string{"", "row 2: a string is not valid UTF-8", `row 3: column "json": not valid JSON`, `row 4: column "day": a time in the year 5881580`, ""}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%q, %v", got, err)
	}
	for i := range want {
		if _, flaw, _ := strings.Cut(got[i], " ! "); flaw != want[i] {
			t.Errorf("%q: flaw %q, want %q", got[i], flaw, want[i])
		}
	}
}

// A Parquet file is read from its end, so it must be a regular file.
func TestOpen_parquet(t *testing.T) {
	t.Parallel()
	content := parquetOf(t, numbered(3), 10)
	folder := write(t, "a.parquet.gz", gz(content), "cut.parquet", content[:len(content)-9], "text.parquet", "{}\n", "empty.parquet", "")
	for spec, want := range map[string]string{
		"-?format=parquet": "must be a regular file", filepath.Join(folder, "a.parquet.gz"): "gzip", filepath.Join(folder, "cut.parquet"): errParquet.Error(),
		filepath.Join(folder, "text.parquet"): errParquet.Error(), filepath.Join(folder, "empty.parquet"): errParquet.Error(),
	} {
		if _, err := Open(Options{Size: 10, Bytes: 100, Stdin: strings.NewReader("")}, spec); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
}

// A replaced file is detected.
func TestReread_changedParquet(t *testing.T) {
	t.Parallel()
	path := filepath.Join(write(t, "a.parquet", parquetOf(t, numbered(50), 20)), "a.parquet")
	s := open(t, path, 10, 1000, nil)
	cuts, err := drain(s)
	if err != nil || len(cuts) != 5 {
		t.Fatalf("%d chunks, %v, want 5", len(cuts), err)
	}
	rows := numbered(50)
	rows[45].N = 99
	replaceFile(t, path, parquetOf(t, rows, 30)) // other row groups make no difference, other rows do
	for i, c := range cuts {
		again, err := s.Reread(t.Context(), c.Mark)
		if err != nil || (again.Digest() == c.Digest()) != (i < 4) {
			t.Errorf("chunk %d: %q, %v, want %q", i, again.Body, err, c.Body)
		}
	}
	for _, content := range []string{parquetOf(t, numbered(45), 20), parquetOf(t, numbered(3), 20), "PAR1", ""} {
		replaceFile(t, path, content)
		if _, err := s.Reread(t.Context(), cuts[4].Mark); !errors.Is(err, ErrChanged) {
			t.Errorf("%d bytes: %v, want %v", len(content), err, ErrChanged)
		}
	}
}

// Damage causes an error at most, and never a panic.
func TestParquet_damaged(t *testing.T) {
	t.Parallel()
	rows := []part{{Tags: []string{"a", "b"}}, {}, {Tags: []string{"c"}}}
	content := []byte(parquetOf(t, rows, 2))
	path := filepath.Join(write(t, "a.parquet", ""), "a.parquet")
	for i := range content {
		damaged := bytes.Clone(content)
		damaged[i] ^= 1 << (i % 8)
		replaceFile(t, path, string(damaged))
		s, err := Open(Options{Size: 10, Bytes: 1000}, path)
		if err != nil {
			if !errors.Is(err, ErrSettings) {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		}
		if _, err := drain(s); err != nil && !errors.Is(err, errParquet) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
