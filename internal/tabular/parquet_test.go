package tabular

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// TestRowGroups: a row group ends after some rows, or after fewer that are large. Long values are not among the bounds.
func TestRowGroups(t *testing.T) {
	t.Parallel()
	var objects [][]byte
	for i := range 3000 {
		text := "short"
		if i < 10 {
			text = strings.Repeat("long ", 40_000)
		}
		objects = append(objects, fmt.Appendf(nil, `{"n":%d,"s":"%s %[1]d","j":["%[2]s"]}`, i, text))
	}
	c := NewColumns(nil)
	for _, o := range objects {
		if err := c.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	w := newParquetWriter(&b, c)
	w.groupRows, w.groupBytes = 2000, 2<<20
	for _, o := range objects {
		if err := w.Row(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var rows []int64
	for _, group := range file.RowGroups() {
		rows = append(rows, group.NumRows())
	}
	if fmt.Sprint(rows) != "[6 2000 994]" {
		t.Errorf("row groups of %d rows, want one of many bytes, one of many rows, and the rest", rows)
	}
	for i, index := range file.ColumnIndexes() {
		least, greatest := string(index.MinValues[0]), string(index.MaxValues[0])
		wide, isText := least == "" && greatest == "\xff", i%3 > 0
		if wide != isText { // other bounds would make programs skip pages
			t.Errorf("column %d: values from %q to %q", i%3, least, greatest)
		}
		statistics := file.Metadata().RowGroups[i/3].Columns[i%3].MetaData.Statistics
		if n := len(statistics.MinValue) + len(statistics.MaxValue); n > 0 && isText || n != 16 && !isText {
			t.Errorf("column %d: bounds of %d bytes in the footer", i%3, n)
		}
	}
	r := parquet.NewReader(bytes.NewReader(b.Bytes()))
	for i := range objects {
		row := make([]parquet.Row, 1)
		if n, err := r.ReadRows(row); n != 1 || row[0][0].Int64() != int64(i) || !bytes.Contains(objects[i], row[0][1].ByteArray()) {
			t.Fatalf("row %d: %.100v, %v", i, row, err)
		}
	}
}
