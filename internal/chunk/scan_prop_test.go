package chunk

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// linesOf is what lines mean, put as simply as can be.
func linesOf(in []byte) (objects []string) {
	for line := range bytes.SplitSeq(bytes.TrimPrefix(in, mark), newline) {
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(bytes.Trim(line, blanks)) > 0 {
			objects = append(objects, string(line))
		}
	}
	return objects
}

// elementsOf is what a valid array means.
func elementsOf(in []byte) (objects []string, ok bool) {
	var elements []json.RawMessage
	if json.Unmarshal(bytes.TrimPrefix(in, mark), &elements) != nil || elements == nil {
		return nil, false
	}
	for _, e := range elements {
		objects = append(objects, strings.NewReplacer("\n", " ", "\r", " ").Replace(string(e)))
	}
	return objects, true
}

// valuesOf is what concatenated values mean.
func valuesOf(in []byte) (objects []string, ok bool) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(in, mark)))
	for {
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return objects, errors.Is(err, io.EOF)
		}
		if !utf8.Valid(value) {
			return nil, false
		}
		objects = append(objects, strings.NewReplacer("\n", " ", "\r", " ").Replace(string(value)))
		rest := bytes.TrimPrefix(in, mark)[d.InputOffset():]
		if len(rest) > 0 && !separate(value[len(value)-1], rest[0]) {
			return nil, false
		}
	}
}

// checkScan checks everything that must be true of any stream.
func checkScan(t interface {
	Helper()
	Fatalf(string, ...any)
}, in []byte, format Format, limit int) {
	t.Helper()
	objects, end := scan(bytes.NewReader(in), ScanOptions{Format: format, Buffer: 64}, limit)
	if _, ok := errors.AsType[*InputError](end); end != nil && !ok {
		t.Fatalf("scan(%q): %v", in, end)
	}
	sameEnd := func(err error) bool {
		return err == nil && end == nil || err != nil && end != nil && err.Error() == end.Error()
	}
	texts := describe(objects)

	again, err := scan(iotest.OneByteReader(bytes.NewReader(in)), ScanOptions{Format: format, Buffer: 1}, limit)
	if got := describe(again); !sameEnd(err) || !slices.Equal(got, texts) {
		t.Fatalf("scan(%q) byte by byte\n got %q, %v\nwant %q, %v", in, got, err, texts, end)
	}

	var plain []string
	for i, o := range objects {
		plain = append(plain, string(o.Bytes))
		if bytes.IndexByte(o.Bytes, '\n') >= 0 || len(o.Bytes) == 0 {
			t.Fatalf("scan(%q): object %d is %q, want one line", in, i, o.Bytes)
		}
		if valid := json.Valid(o.Bytes) && utf8.Valid(o.Bytes); !valid && o.Flaw == "" {
			t.Fatalf("scan(%q): object %d %q has no flaw", in, i, o.Bytes)
		}
		if !utf8.ValidString(o.Flaw) || strings.ContainsAny(o.Flaw, "\r\n") {
			t.Fatalf("scan(%q): flaw %q, want one line of text", in, o.Flaw)
		}
		if i > 0 && o.Place.Offset <= objects[i-1].Place.Offset {
			t.Fatalf("scan(%q): object %d at %+v, after one at %+v", in, i, o.Place, objects[i-1].Place)
		}
		rest, err := scan(bytes.NewReader(in[o.Place.Offset:]), ScanOptions{Format: format, At: o.Place, Buffer: 8}, limit)
		if got := describe(rest); !sameEnd(err) || !slices.Equal(got, texts[i:]) {
			t.Fatalf("scan(%q) from %+v\n got %q, %v\nwant %q, %v", in, o.Place, got, err, texts[i:], end)
		}
	}
	if limit > 0 {
		return // the references below know none
	}
	lines := linesOf(in)
	if n := len(lines); end != nil && n > 0 {
		lines = lines[:n-1] // the last one is torn
	}
	if format == Lines && !slices.Equal(plain, lines) {
		t.Fatalf("lines of %q\n got %q, %v\nwant %q", in, plain, end, lines)
	}
	elements, isArray := elementsOf(in)
	if isArray && format == Array && (!slices.Equal(plain, elements) || end != nil) {
		t.Fatalf("elements of %q\n got %q, %v\nwant %q", in, plain, end, elements)
	}
	values, areValues := valuesOf(in)
	if areValues && format == Values && (!slices.Equal(plain, values) || end != nil) {
		t.Fatalf("values of %q\n got %q, %v\nwant %q", in, plain, end, values)
	}
	if format == Auto && end == nil && !slices.Equal(plain, lines) && (!isArray || !slices.Equal(plain, elements)) &&
		areValues && !slices.Equal(plain, values) {
		t.Fatalf("objects of %q\n got %q\nwant the lines, the elements or the values", in, plain)
	}
	if format == Auto && areValues && len(values) > 0 && end != nil && !isArray {
		checkRefused(t, in, end)
	}
}

// checkRefused: what is a sequence of values is refused only behind an array.
func checkRefused(t interface {
	Helper()
	Fatalf(string, ...any)
}, in []byte, end error) {
	t.Helper()
	if !strings.Contains(end.Error(), "text follows the end of the array") && !strings.Contains(end.Error(), "none of the first") &&
		!strings.Contains(end.Error(), "ends in the middle of a line") {
		t.Fatalf("scan(%q): %v", in, end)
	}
}

func TestScanner_properties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(jsonValue(), 0, 8).Draw(t, "values")
		end := rapid.SampledFrom([]string{"\n", "\r\n", "\n\n \n"}).Draw(t, "end")
		in := strings.Join(values, end)
		if rapid.Bool().Draw(t, "pretty") {
			in = strings.NewReplacer("{", "{\n  ", "[", "[\n  ", ",", ",\n  ").Replace(in)
		}
		if rapid.Bool().Draw(t, "array") {
			in = "[" + end + strings.Join(values, ","+end) + end + "]"
		}
		if rapid.Bool().Draw(t, "mark") {
			in = string(mark) + in
		}
		b := []byte(in)
		for range rapid.IntRange(0, 2).Draw(t, "edits") {
			if len(b) > 0 {
				i := rapid.IntRange(0, len(b)-1).Draw(t, "place")
				b[i] = rapid.SampledFrom([]byte("{}[]\",:\\1 \n\r\xff")).Draw(t, "byte")
			}
		}
		format := rapid.SampledFrom([]Format{Auto, Lines, Array, Values}).Draw(t, "format")
		checkScan(t, b, format, rapid.SampledFrom([]int{0, 5, 20}).Draw(t, "limit"))
	})
}

func FuzzScanner(f *testing.F) {
	for _, v := range values {
		f.Add([]byte(v+"\n"+v+"\r\n"), uint8(0), uint8(0))
		f.Add([]byte("["+v+",\n"+v+"]"), uint8(0), uint8(0))
		f.Add([]byte("["+v+"]\n["+v+"]"), uint8(2), uint8(4))
		f.Add([]byte("\ufeff["+v+"]\n["+v+"]\n"), uint8(1), uint8(9))
		f.Add([]byte("1\n{\n\"a\": "+v+"\n}\n"+v+" "+v), uint8(0), uint8(0))
		f.Add([]byte("{\n"+v+"}"+v+"\n"), uint8(3), uint8(9))
	}
	f.Fuzz(func(t *testing.T, in []byte, format, limit uint8) {
		if len(in) < 4<<10 { // the checks are quadratic
			checkScan(t, in, Format(format%4), int(limit))
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	object := `{"uuid":"5a2f4b1e-95e2-4d50-8f0e-3a1d3f1f3c55","fn":"Søren","ln":"O'Brien \"Bob\"","friends":["d9428888-122b-11e1-b85c-61cd3cbb3210","6ba7b810-9dad-11d1-80b4-00c04fd430c8"]}`
	const n = 20_000
	for name, in := range map[string]string{
		"lines":  strings.Repeat(object+"\n", n),
		"array":  "[" + strings.Repeat(object+",", n-1) + object + "]\n",
		"values": strings.Repeat(object+object+"\n", n/2),
		"csv":    "a,b,c\n" + strings.Repeat("5a2f4b1e-95e2-4d50-8f0e-3a1d3f1f3c55,Søren,\"O'Brien \"\"Bob\"\"\"\n", n),
	} {
		var o ScanOptions
		if name == "csv" {
			o.Format = CSV
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				s := NewScanner(strings.NewReader(in), o)
				count := 0
				for {
					object, err := s.Next()
					if errors.Is(err, io.EOF) {
						break
					} else if err != nil || object.Flaw != "" {
						b.Fatal(object.Flaw, err)
					}
					count++
				}
				if count != n {
					b.Fatalf("got %d objects, want %d", count, n)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}
