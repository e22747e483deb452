package chunk

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestScanner_csv(t *testing.T) {
	t.Parallel()
	null := "NULL"
	typed := func(types ...ColumnType) Table { return Table{Types: types} }
	for _, c := range []struct {
		scanCase
		table Table
	}{
		{scanCase: scanCase{name: "empty"}},
		{scanCase: scanCase{name: "only a header", in: "a,b\n"}},
		{scanCase: scanCase{name: "rows", in: "b,a\n1,x\n,\n", want: []string{`{"b":"1","a":"x"}`, `{"b":"","a":""}`}}},
		{scanCase: scanCase{name: "mark, CRLF, empty lines, no line break at the end", in: "\ufeff\r\n\"a\",b\r\n\r\n1,2\r\n\n3,4", want: []string{`{"a":"1","b":"2"}`, `{"a":"3","b":"4"}`}}},
		{scanCase: scanCase{name: "quotes", in: "a,b\n\"x,\"\"y\"\"\",\"l1\nl2\r\nl3\"\n\"\",\"\"\"\"\n",
			want: []string{`{"a":"x,\"y\"","b":"l1\nl2\u000d\nl3"}`, `{"a":"","b":"\""}`}}},
		{scanCase: scanCase{name: "one column", in: "a\n1\n\"\"\n \n", want: []string{`{"a":"1"}`, `{"a":""}`, `{"a":" "}`}}},
		{scanCase: scanCase{name: "strange text", in: "\"k\"\"\",\n\\\t\x00\x7f<é\u2028,null\n", want: []string{`{"k\"":"\\\t\u0000\u007f<é` + "\u2028" + `","":"null"}`}}},
		{scanCase: scanCase{name: "ragged", in: "a,b\n1\n1,2,3\n \n1,\"\n\",3\n4,5\n", want: []string{
			`1 ! line 2, byte 4: the row has 1 fields, and the table 2 columns`, `1,2,3 ! line 3, byte 6: the row has 3 fields, and the table 2 columns`,
			`  ! line 4, byte 12: the row has 1 fields, and the table 2 columns`, `1," ",3 ! line 5, byte 14: the row has 3 fields, and the table 2 columns`, `{"a":"4","b":"5"}`}}},
		{scanCase: scanCase{name: "bad quotes", in: "a,b\n5\" disk,\"2\"\n\"1\"x,\"2\n3\",4\n\xff,1\n4,5\n", want: []string{
			`5" disk,"2" ! line 2, byte 4: field 1: a quote in a field that is not quoted; if a quote is an ordinary character in this file, use quote=none`,
			`"1"x,"2 ! line 3, byte 16: field 1: text follows the quote that ends the field; a quote in a quoted field is written twice`,
			`3",4 ! line 4, byte 24: field 1: a quote in a field that is not quoted; if a quote is an ordinary character in this file, use quote=none`,
			"\xff,1 ! line 5, byte 29: not valid UTF-8 (byte 1 of the row)", `{"a":"4","b":"5"}`}}},
		{scanCase: scanCase{name: "no quotes", in: "a\tb\n5\" disk\t\"2\n", want: []string{`{"a":"5\" disk","b":"\"2"}`}}, table: Table{Delimiter: '\t', Unquoted: true}},
		{scanCase: scanCase{name: "torn row", in: "a,b\n1,2\n3", want: []string{`{"a":"1","b":"2"}`}, err: "the input ends in the middle of a row (the row has 1 fields"}},
		{scanCase: scanCase{name: "quote that is not closed", in: "a,b\n1,2\n3,\"x\n4,5\n", want: []string{`{"a":"1","b":"2"}`}, err: "in a quoted field of the row that begins in line 3, byte 8"}},
		{scanCase: scanCase{name: "header that is not closed", in: "a,\"b\n", err: "in a quoted field of the row that begins in line 1, byte 0"}},
		{scanCase: scanCase{name: "no header", in: "1;2\n", want: []string{`{"x":"1","y":"2"}`}}, table: Table{Delimiter: ';', NoHeader: true, Columns: []string{"x", "y"}}},
		{scanCase: scanCase{name: "other names", in: "a,a\n1,2\n", want: []string{`{"x":"1","y":"2"}`}}, table: Table{Columns: []string{"x", "y"}}},
		{scanCase: scanCase{name: "other names, too few", in: "a,a\n1,2\n", err: "the header has 2 columns, and columns= has 1 names"}, table: Table{Columns: []string{"x"}}},
		{scanCase: scanCase{name: "a name twice", in: "a,a\n1,2\n", err: `two columns are called "a"`}},
		{scanCase: scanCase{name: "another delimiter", in: "a;b\n1;2\n", err: `is ';' the delimiter`}},
		{scanCase: scanCase{name: "header in another encoding", in: "\xff\xfea\x00\n", err: "not valid UTF-8"}},
		{scanCase: scanCase{name: "CR alone", in: "a,b\r1,2\r", err: "CR alone"}},
		{scanCase: scanCase{name: "no such column", in: "a,b\n", err: `there is no column "c"`}, table: typed(ColumnType{"c", IntValue})},
		{scanCase: scanCase{name: "auto", in: "a,b,c\n1,TRUE,\n1e400,-0.10,007\n+1, 1,false\n", want: []string{
			`{"a":1,"b":true,"c":null}`, `{"a":1e400,"b":-0.10,"c":"007"}`, `{"a":"+1","b":" 1","c":false}`}}, table: Table{Auto: true, Types: []ColumnType{}}},
		{scanCase: scanCase{name: "types", in: "i,f,b,s\n9007199254740993, 1.50 ,False,7\n,,,\n1.0,1,true,\n1,x,true,\n1,1,yes,\n", want: []string{
			`{"i":9007199254740993,"f":1.50,"b":false,"s":"7"}`, `{"i":null,"f":null,"b":null,"s":null}`,
			`1.0,1,true, ! line 4, byte 44: column "i": "1.0" is not of the type int`, `1,x,true, ! line 5, byte 56: column "f": "x" is not of the type float`,
			`1,1,yes, ! line 6, byte 66: column "b": "yes" is not of the type bool`}},
			table: Table{Auto: true, Types: []ColumnType{{"i", IntValue}, {"f", FloatValue}, {"b", BoolValue}, {"s", StringValue}}, Null: new(string)}},
		{scanCase: scanCase{name: "null", in: "i,s\nNULL,NULL\n\"NULL\",null\n", want: []string{`{"i":null,"s":null}`, `{"i":null,"s":"null"}`}},
			table: Table{Types: []ColumnType{{"i", IntValue}}, Null: &null}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{
				"at once": strings.NewReader(c.in), "byte by byte": iotest.OneByteReader(strings.NewReader(c.in)), "data with EOF": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				objects, err := scan(r, ScanOptions{Format: CSV, Table: c.table, Buffer: 16}, 0)
				if got := describe(objects); !slices.Equal(got, c.want) || !failsAs(err, c.err) {
					t.Errorf("%s: scan(%.300q)\n got %.2000q, %v\nwant %.2000q, %v", how, c.in, got, err, c.want, c.err)
				}
			}
		})
	}
}

// A row that is too large is left out, however large, and so is one whose object is.
func TestScanner_csvLimit(t *testing.T) {
	t.Parallel()
	in := "a,b\n1,2\n" + strings.Repeat("x", 100) + ",\"\n" + strings.Repeat("y\n", 100) + "\"\n3,\x01\x01\x01\x01\x01\n4,5\n"
	for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
		objects, err := scan(r, ScanOptions{Format: CSV, Buffer: 16}, 30)
		got := describe(objects)
		if err != nil || len(got) != 4 || got[0] != `{"a":"1","b":"2"}` || got[3] != `{"a":"4","b":"5"}` ||
			!strings.Contains(got[1], `"bytes":304,`) || !strings.HasSuffix(got[1], "line 3, byte 8: object too large: 304 bytes, the limit is 30") ||
			!strings.HasSuffix(got[2], "line 105, byte 313: object too large: 7 bytes, the limit is 30") {
			t.Errorf("got %q, %v", got, err)
		}
	}
	objects, err := scan(strings.NewReader("a,b\n1,2\n\""+strings.Repeat("x", 100)), ScanOptions{Format: CSV, Buffer: 16}, 30)
	if !failsAs(err, "the row that begins in line 3, byte 8") || len(objects) != 1 {
		t.Errorf("cut off: %q, %v", describe(objects), err)
	}
}

// checkCSV holds the scanner against encoding/csv, and cuts again from every place.
func checkCSV(t interface {
	Helper()
	Fatalf(string, ...any)
}, in []byte, table Table, limit int) {
	t.Helper()
	o := ScanOptions{Format: CSV, Table: table, Buffer: 64}
	objects, end := scan(bytes.NewReader(in), o, limit)
	texts := describe(objects)
	if _, ok := errors.AsType[*InputError](end); end != nil && !ok {
		t.Fatalf("scan(%q): %v", in, end)
	}
	for i, object := range objects {
		if bytes.IndexByte(object.Bytes, '\n') >= 0 || object.Flaw == "" && !json.Valid(object.Bytes) {
			t.Fatalf("scan(%q): object %d is %q", in, i, object.Bytes)
		}
		o := o
		o.At, o.Buffer = object.Place, 1
		if o.At.Offset > 0 && table.Columns == nil {
			var err error
			if o.Table.Columns, err = table.ReadColumns(bytes.NewReader(in)); err != nil {
				t.Fatalf("columns of %q: %v", in, err)
			}
		}
		rest, err := scan(iotest.OneByteReader(bytes.NewReader(in[object.Place.Offset:])), o, limit)
		same := err == nil && end == nil || err != nil && end != nil && err.Error() == end.Error()
		if got := describe(rest); !same || !slices.Equal(got, texts[i:]) {
			t.Fatalf("scan(%q) from %+v\n got %q, %v\nwant %q, %v", in, o.At, got, err, texts[i:], end)
		}
	}
	if limit > 0 || table.Unquoted || table.Columns != nil || table.Auto {
		return // encoding/csv has no such thing
	}
	want, err := csvObjects(bytes.TrimPrefix(in, mark), table.Delimiter)
	flawed := slices.IndexFunc(objects, func(o Object) bool { return o.Flaw != "" })
	switch {
	case err != nil || end != nil || flawed >= 0: // they agree up to there
		n := len(want)
		if flawed >= 0 {
			n = min(n, flawed)
		}
		if n = min(n, len(texts)); !slices.Equal(texts[:n], want[:n]) {
			t.Fatalf("scan(%q)\n got %q, %v\nwant %q, %v", in, texts, end, want, err)
		}
	case !slices.Equal(texts, want):
		t.Fatalf("scan(%q)\n got %q\nwant %q", in, texts, want)
	}
	if err != nil && end == nil && flawed < 0 {
		t.Fatalf("scan(%q): %q has no flaw, and encoding/csv says %v", in, texts, err)
	}
}

// csvObjects is what encoding/csv makes of a table, up to its first error. It reads
// CRLF in a field as LF, so the tests have no such fields.
func csvObjects(in []byte, delimiter byte) (objects []string, err error) {
	r := csv.NewReader(bytes.NewReader(in))
	if delimiter != 0 {
		r.Comma = rune(delimiter)
	}
	header, _ := r.Read() // nil if the table has none
	for header != nil {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return objects, err
		}
		var b []byte
		for i, field := range row {
			b = append(appendString(append(b, "{,"[min(i, 1)]), header[i]), ':')
			b = appendString(b, field)
		}
		objects = append(objects, string(append(b, '}')))
	}
	return objects, nil
}

func TestScanner_csvProperties(t *testing.T) {
	t.Parallel()
	field := rapid.SampledFrom([]string{"", "1", "x", `"a"`, `"b,c"`, "\"d\ne\"", `"f""g"`, "é", " ", `""`, "null"})
	rapid.Check(t, func(t *rapid.T) {
		table := Table{Delimiter: rapid.SampledFrom([]byte(",;\t")).Draw(t, "delimiter"), Unquoted: rapid.IntRange(0, 9).Draw(t, "unquoted") == 0, Auto: rapid.IntRange(0, 4).Draw(t, "auto") == 0}
		columns := rapid.IntRange(1, 3).Draw(t, "columns")
		lineEnd := rapid.SampledFrom([]string{"\n", "\r\n", "\n\n"}).Draw(t, "end")
		in := strings.Join([]string{"a", "b", "c"}[:columns], string(table.Delimiter)) + lineEnd
		for range rapid.IntRange(0, 8).Draw(t, "rows") {
			in += strings.Join(rapid.SliceOfN(field, columns, columns).Draw(t, "row"), string(table.Delimiter)) + lineEnd
		}
		b := []byte(in)
		for range rapid.IntRange(0, 2).Draw(t, "edits") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "place")] = rapid.SampledFrom([]byte(",;\t\"\nx\xff")).Draw(t, "byte")
		}
		checkCSV(t, b, table, rapid.SampledFrom([]int{0, 0, 5, 20}).Draw(t, "limit"))
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,\"x\ny\"\n\"\"\"\",2\n3\n"), byte(0), false, uint8(0))
	f.Add([]byte("\ufeffa;b\r\n\r\n1;2\n\"1\"x;\"\n"), byte(';'), false, uint8(9))
	f.Add([]byte("a\tb\n1\"\t\"2\n\xff\t\n"), byte('\t'), true, uint8(0))
	f.Fuzz(func(t *testing.T, in []byte, delimiter byte, unquoted bool, limit uint8) {
		if len(in) > 1<<10 || strings.IndexByte("\x00,;\t|", delimiter) < 0 || bytes.IndexByte(in, '\r') >= 0 {
			return // the checks are quadratic, and encoding/csv changes CRLF
		}
		checkCSV(t, in, Table{Delimiter: delimiter, Unquoted: unquoted}, int(limit))
	})
}
