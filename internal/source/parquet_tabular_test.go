package source

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/chunkline/chunkline/internal/tabular"
)

// tableOf returns a Parquet file of objects.
func tableOf(t *testing.T, objects []string) string {
	t.Helper()
	var b bytes.Buffer
	columns := tabular.NewColumns(nil)
	for _, o := range objects {
		if err := columns.Add([]byte(o)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := tabular.NewWriter(&b, tabular.Parquet, columns)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := w.Row([]byte(o)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// orNull stands for a missing key.
func orNull(value string) string {
	if value == "" {
		return "null"
	}
	return value
}

// TestParquet_tabular: what package tabular writes is read as the same values, whatever they are.
func TestParquet_tabular(t *testing.T) {
	t.Parallel()
	const null = "null"
	columns := []struct {
		kind   string
		values []string // in JSON, as they are read; "": the key is missing, which is read as null
	}{
		{"BOOLEAN", []string{"true", "false", null, ""}},
		{"INT(64,true)", []string{"9223372036854775807", "-9223372036854775808", "9007199254740993", "0"}},
		{"DOUBLE", []string{"0.1", "-0", "1", "9007199254740992"}},
		{"DOUBLE", []string{"1e-07", "5e-324", "1.7976931348623157e+308", "123456789012345"}},
		{"DOUBLE", []string{"-0", null, "", "-0"}},
		{"JSON", []string{"1e400", "1", "-0", "0.10000000000000000001"}},               // beyond a float64
		{"JSON", []string{"9007199254740993", "0.5", null, "1"}},                       // neither integers nor exact in a float64
		{"JSON", []string{"18446744073709551615", "-9223372036854775809", "1", "1.0"}}, // beyond an int64
		{"STRING", []string{`"é😀"`, `""`, `"\n\"\\\u0000"`, "\"\u2028\""}},
		{"JSON", []string{`"\ud800"`, `"a"`, null, `"\udc00\ud800"`}}, // not in UTF-8
		{"JSON", []string{`{"b": 1, "a": [1.0]}`, "[]", "{}", ""}},
		{"JSON", []string{`"1"`, "1", "true", `"null"`}}, // several kinds
		{"STRING", []string{null, "", null, ""}},         // no values
		{"STRING", []string{"", "", "", `"late"`}},
	}
	names := []string{"z", "a", "a.b", "", "ü", `q"`, "list", "element", "A", "k", "key_value", "b", "0", "late"}
	rows, want := make([]string, 4), make([]string, 4)
	for row := range rows {
		var object, read []string
		for i, c := range columns {
			key := fmt.Sprintf("%q:", names[i])
			value := c.values[row]
			if value != "" || row == 0 && i != len(columns)-1 {
				object = append(object, key+orNull(value))
			}
			read = append(read, key+orNull(value))
		}
		rows[row], want[row] = "{"+strings.Join(object, ", ")+"}", "{"+strings.Join(read, ",")+"}"
	}
	content := tableOf(t, rows)
	file, err := parquet.OpenFile(strings.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range file.Root().Columns() {
		if kind := c.Type().String(); kind != columns[i].kind || c.Name() != names[i] || !c.Optional() {
			t.Errorf("column %d is %s, want %s %q", i, c, columns[i].kind, names[i])
		}
	}
	got, err := drain(open(t, filepath.Join(write(t, "a.parquet", content), "a.parquet"), 10, 1000, nil))
	if err != nil || strings.Join(objects(got), "\n") != strings.Join(want, "\n") {
		t.Errorf("read %v\n%s\nwant\n%s", err, strings.Join(objects(got), "\n"), strings.Join(want, "\n"))
	}
}

// TestParquet_noColumns: a table without rows may have no columns.
func TestParquet_noColumns(t *testing.T) {
	t.Parallel()
	cuts, err := drain(open(t, filepath.Join(write(t, "a.parquet", tableOf(t, nil)), "a.parquet"), 10, 1000, nil))
	if err != nil || len(cuts) > 0 {
		t.Errorf("read %q, %v, want nothing", objects(cuts), err)
	}
}
