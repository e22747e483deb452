package chunk

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// scan returns all objects of r, and the error that ended them unless it is
// io.EOF. limit 0 means MaxObject.
func scan(r io.Reader, o ScanOptions, limit int) ([]Object, error) {
	s := NewScanner(r, o)
	if limit > 0 {
		s.max = limit
	}
	var objects []Object
	for {
		object, err := s.Next()
		if errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return objects, err
		}
		object.Bytes = bytes.Clone(object.Bytes)
		objects = append(objects, object)
	}
}

// describe writes objects as text: those with a flaw as "!" and the flaw.
func describe(objects []Object) []string {
	var texts []string
	for _, o := range objects {
		text := string(o.Bytes)
		if o.Flaw != "" {
			text += " ! " + o.Flaw
		}
		texts = append(texts, text)
	}
	return texts
}

type scanCase struct {
	name, in string
	format   Format
	want     []string
	err      string // of an InputError behind want
}

// failsAs says whether err is an InputError with the text; none if that is "".
func failsAs(err error, text string) bool {
	input, ok := errors.AsType[*InputError](err)
	return err == nil && text == "" || ok && text != "" && strings.Contains(input.Error(), text)
}

func runScanCases(t *testing.T, cases []scanCase, limit int) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{
				"at once":       strings.NewReader(c.in),
				"byte by byte":  iotest.OneByteReader(strings.NewReader(c.in)),
				"halves":        iotest.HalfReader(strings.NewReader(c.in)),
				"data with EOF": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				objects, err := scan(r, ScanOptions{Format: c.format, Buffer: 16}, limit)
				if got := describe(objects); !slices.Equal(got, c.want) || !failsAs(err, c.err) {
					t.Errorf("%s: scan(%.300q)\n got %.2000q, %v\nwant %.2000q, %v", how, c.in, got, err, c.want, c.err)
				}
			}
		})
	}
}

func TestScanner_lines(t *testing.T) {
	t.Parallel()
	runScanCases(t, []scanCase{
		{name: "empty", in: ""},
		{name: "only a mark", in: "\ufeff"},
		{name: "only blanks", in: " \r\n\t\n\n  "},
		{name: "one", in: "{}\n", want: []string{"{}"}},
		{name: "no last line break", in: "{}\n[]", want: []string{"{}", "[]"}},
		{name: "CRLF", in: "{\"a\":1}\r\n{\"a\":2}\r\n", want: []string{`{"a":1}`, `{"a":2}`}},
		{name: "CR at the end", in: "1\r\n2\r", want: []string{"1", "2"}},
		{name: "mark", in: "\ufeff{\"a\":1}\n2\n", want: []string{`{"a":1}`, "2"}},
		{name: "blank lines", in: "\n\r\n1\n  \n\t\r\n2\n\n", want: []string{"1", "2"}},
		{name: "blanks belong to the object", in: " {\"a\" : 1}\t\n 2\n", want: []string{" {\"a\" : 1}\t", " 2"}},
		{name: "scalars", in: "null\ntrue\n-0\n\"x\"\n", want: []string{"null", "true", "-0", `"x"`}},
		{name: "byte for byte", in: `{"z":9007199254740993,"a":1e400,"a":-0.0,"A":"\ud800\u00e9","__proto__":"\/<>&é` + "\u2028" + `"}` + "\n",
			want: []string{`{"z":9007199254740993,"a":1e400,"a":-0.0,"A":"\ud800\u00e9","__proto__":"\/<>&é` + "\u2028" + `"}`}},
		{name: "invalid among valid", in: "1\n\n{\"a\":x}\n2\n", want: []string{
			"1", `{"a":x} ! line 3, byte 3: not valid JSON: invalid character 'x' looking for beginning of value (byte 6 of the object)`, "2"}},
		{name: "offsets count mark and CR", in: "\ufeff1\r\n{\r\n", format: Lines, want: []string{
			"1", `{ ! line 2, byte 6: not valid JSON: unexpected end of JSON input (byte 1 of the object)`}},
		{name: "two values", in: "1\n{} {}\n", want: []string{
			"1", `{} {} ! line 2, byte 2: not valid JSON: invalid character '{' after top-level value (byte 4 of the object)`}},
		{name: "invalid UTF-8", in: "\"a\"\n\"\ufffd\xff\"\n", want: []string{
			`"a"`, "\"\ufffd\xff\" ! line 2, byte 4: not valid UTF-8 (byte 5 of the object)"}},
		{name: "surrogate in UTF-8", in: "\"\xed\xa0\x80\"\n", want: []string{
			"\"\xed\xa0\x80\" ! line 1, byte 0: not valid UTF-8 (byte 2 of the object)"}},
		{name: "NUL", in: "\x00\n1\n", want: []string{
			"\x00 ! line 1, byte 0: not valid JSON: invalid character '\\x00' looking for beginning of value (byte 1 of the object)", "1"}},
		{name: "CR alone ends nothing", in: "1\r2\n3\n", format: Lines, want: []string{
			"1\r2 ! line 1, byte 0: not valid JSON: invalid character '2' after top-level value (byte 3 of the object)", "3"}},
		{name: "mark later", in: "1\n\ufeff2\n", want: []string{
			"1", "\ufeff2 ! line 2, byte 2: not valid JSON: invalid character 'ï' looking for beginning of value (byte 1 of the object)"}},
		{name: "arrays as lines", in: "[1,2]\n[3,4]\n", want: []string{"[1,2]", "[3,4]"}},
		{name: "arrays as lines, CRLF and blanks", in: "\r\n [] \t\r\n\r\n[\"]\"]\r\n", want: []string{" [] \t", `["]"]`}},
		{name: "an array, then others", in: "[1]\n{\"a\":2}\n", want: []string{"[1]", `{"a":2}`}},
		{name: "last line is torn", in: "1\n{\"a\":", want: []string{"1"}, err: "the input ends in the middle of a line"},
		{name: "last line is torn, forced", in: "x", format: Lines, err: "the input ends in the middle of a line"},
		{name: "forced", in: "[1,2]\n", format: Lines, want: []string{"[1,2]"}},
		{name: "forced, over several lines", in: "[1,\n2]\n", format: Lines, want: []string{
			"[1, ! line 1, byte 0: not valid JSON: unexpected end of JSON input (byte 3 of the object)",
			"2] ! line 2, byte 4: not valid JSON: invalid character ']' after top-level value (byte 2 of the object)"}},
	}, 0)
}

func TestScanner_nestingLimit(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	bad := "[" + good + "]"
	objects, err := scan(strings.NewReader("1\n"+good+"\n"+bad+"\n"+strings.Repeat("[", 1<<20)+"\n2\n"), ScanOptions{}, 0)
	if err != nil || len(objects) != 5 {
		t.Fatalf("got %d objects, %v, want 5", len(objects), err)
	}
	for i, flaw := range []string{"", "", "exceeded max depth", "exceeded max depth", ""} {
		if got := objects[i].Flaw; !strings.Contains(got, flaw) || flaw == "" && got != "" {
			t.Errorf("object %d: flaw %q, want %q", i, got, flaw)
		}
	}
	if got := string(objects[2].Bytes); got != bad {
		t.Errorf("object with flaw altered: %d bytes, want %d", len(got), len(bad))
	}
}

func TestScanner_nameInFlaws(t *testing.T) {
	t.Parallel()
	objects, err := scan(strings.NewReader("x\n"), ScanOptions{Name: "b.jsonl"}, 0)
	if err != nil || len(objects) != 1 || !strings.HasPrefix(objects[0].Flaw, "b.jsonl, line 1, byte 0: ") {
		t.Errorf("got %q, %v, want a flaw that begins with the file", describe(objects), err)
	}
}

func TestScanner_readError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, c := range []struct {
		in     string
		format Format
		want   int // a torn object is not returned
	}{
		{"1\n2\n3", Auto, 2},
		{"1\n2\n" + strings.Repeat("x", 100), Auto, 2},
		{"[\n1,2,3", Auto, 2},
		{"[\n1,2, ", Auto, 2},
		{"[1,2,3", Auto, 0}, // may yet turn out to be lines
		{"[1,2,3", Array, 2},
		{"", Auto, 0},
	} {
		r := io.MultiReader(strings.NewReader(c.in), iotest.ErrReader(broken))
		s := NewScanner(r, ScanOptions{Format: c.format, Buffer: 16})
		s.max = 50
		got := 0
		_, err := s.Next()
		for ; err == nil; _, err = s.Next() {
			got++
		}
		if !errors.Is(err, broken) || got != c.want {
			t.Errorf("%.20q: %d objects, then %v, want %d, then %v", c.in, got, err, c.want, broken)
		}
		if _, err := s.Next(); !errors.Is(err, broken) {
			t.Errorf("%.20q: Next after the error: %v, want %v", c.in, err, broken)
		}
	}
	if _, err := scan(emptyReader{}, ScanOptions{}, 0); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reader without progress: %v, want %v", err, io.ErrNoProgress)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

func TestScanner_noAllocationPerObject(t *testing.T) {
	for name, in := range map[string]string{
		"lines": strings.Repeat(`{"uuid":"x","fn":"Ada","ln":"Lovelace","friends":[]}`+"\n", 1000),
		"array": "[" + strings.Repeat(`{"uuid":"x","fn":"Ada","ln":"Lovelace","friends":[]}`+",\n", 999) + "1]",
	} {
		r := strings.NewReader(in)
		allocs := testing.AllocsPerRun(5, func() {
			r.Reset(in)
			s := NewScanner(r, ScanOptions{Buffer: 4 << 10})
			for _, err := s.Next(); err == nil; _, err = s.Next() {
			}
		})
		if allocs > 20 { // the scanner and its buffer, not 1,000 objects
			t.Errorf("%s: %v allocations for 1,000 objects, want at most 20", name, allocs)
		}
	}
}
