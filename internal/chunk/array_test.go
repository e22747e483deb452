package chunk

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

const (
	nothing  = `{"chunkline":"no object"} ! `
	inOne    = "the input ends in or after this element of an array"
	notEnded = "the input ends before the ']' of the array"
	behind   = "text follows the end of the array"
)

func TestScanner_array(t *testing.T) {
	t.Parallel()
	runScanCases(t, []scanCase{
		{name: "empty", in: "[]"},
		{name: "empty with blanks", in: "\ufeff \n[ \r\n ]\n\n"},
		{name: "one line", in: `[{"a":1},{"a":2}]` + "\n", want: []string{`{"a":1}`, `{"a":2}`}},
		{name: "one line, blank lines behind", in: "[1,2]\n\r\n \n", want: []string{"1", "2"}},
		{name: "mark and CRLF", in: "\ufeff[\r\n1,\r\n2\r\n]\r\n", want: []string{"1", "2"}},
		{name: "scalars", in: `[null , "a" ,-1.5e3,true]`, want: []string{"null", `"a"`, "-1.5e3", "true"}},
		{name: "brackets and escapes in strings", in: `["],[","\"],","\\",{"k\"}]":"{[,"}]`, want: []string{`"],["`, `"\"],"`, `"\\"`, `{"k\"}]":"{[,"}`}},
		{name: "arrays of arrays", in: "[[1,[2]],[],[[[]]]]", want: []string{"[1,[2]]", "[]", "[[[]]]"}},
		{name: "pretty-printed", in: "[\n  {\n    \"a\": 1\n  },\n  {\r\n    \"a\": [\r\n    ]\r\n  }\n]\n",
			want: []string{`{     "a": 1   }`, `{      "a": [      ]    }`}},
		{name: "lines go on behind an element of several", in: "[{\"a\":\n1\n},\nx]", want: []string{`{"a": 1 }`,
			"x ! line 4, byte 12: not valid JSON: invalid character 'x' looking for beginning of value (byte 1 of the object)"}},
		{name: "byte for byte", in: `[9007199254740993,{"z":1e400,"a":1,"a":"\ud800<` + "\u2028" + `"}]`,
			want: []string{"9007199254740993", `{"z":1e400,"a":1,"a":"\ud800<` + "\u2028" + `"}`}},
		{name: "invalid element", in: "[1,\n{\"a\":x},2]", want: []string{
			"1", `{"a":x} ! line 2, byte 4: not valid JSON: invalid character 'x' looking for beginning of value (byte 6 of the object)`, "2"}},
		{name: "wrong bracket stays in its element", in: `[{"a":1],[2},3]`, format: Array, want: []string{
			`{"a":1] ! line 1, byte 1: not valid JSON: invalid character ']' after object key:value pair (byte 7 of the object)`,
			`[2} ! line 1, byte 9: not valid JSON: invalid character '}' after array element (byte 3 of the object)`, "3"}},
		{name: "stray bracket", in: `[},1]`, format: Array, want: []string{
			`} ! line 1, byte 1: not valid JSON: invalid character '}' looking for beginning of value (byte 1 of the object)`, "1"}},
		{name: "line break in a string", in: "[\"a\nb\",1]", format: Array, want: []string{
			`"a b" ! line 1, byte 1: not valid JSON: invalid character '\n' in string literal (byte 3 of the object)`, "1"}},
		{name: "invalid UTF-8", in: "[\"\xff\",1]", format: Array, want: []string{
			"\"\xff\" ! line 1, byte 1: not valid UTF-8 (byte 2 of the object)", "1"}},
		{name: "missing comma", in: "[\n1,\n{} {},\n2]", want: []string{
			"1", "{} {} ! line 3, byte 5: array: no comma or ']' after the first 2 bytes of the element", "2"}},
		{name: "missing elements", in: "[,1,\n,2,]", format: Array, want: []string{
			nothing + "line 1, byte 1: array: no element before ','", "1",
			nothing + "line 2, byte 5: array: no element before ','", "2",
			nothing + "line 2, byte 8: array: no element before ']'"}},
		{name: "cut off in an element", in: `[1,{"a":2`, want: []string{"1"}, err: inOne},
		{name: "cut off in a number", in: `[1,2`, want: []string{"1"}, err: inOne},
		{name: "cut off in a string", in: "[1,\"a\n", want: []string{"1"}, err: inOne},
		{name: "cut off behind an element", in: "[1\n", err: inOne},
		{name: "cut off behind a comma", in: "[1,\n", want: []string{"1"}, err: notEnded},
		{name: "cut off at once", in: "[", err: notEnded},
		{name: "text behind", in: "[\n1\n] x\n", want: []string{"1"}, err: behind},
		{name: "brackets closed too often", in: "[1\n]]\n", want: []string{"1"}, err: behind},
		{name: "second array", in: "[\n1\n]\n[2,\r\n3]\n", want: []string{"1"}, err: behind},
		{name: "second array, forced", in: "[\n1\n]\n[2,\r\n3][]\n", format: Array, want: []string{"1", "2", "3"}},
		{name: "arrays as lines, forced", in: "[1,2]\n[3]\n", format: Array, want: []string{"1", "2", "3"}},
		{name: "not an array, forced", in: "x\r\n [1]\n", format: Array, err: "this is not an array"},
		{name: "nothing, forced", in: "\n", format: Array},
	}, 0)
}

func TestScanner_tellsArrayFromLines(t *testing.T) {
	t.Parallel()
	filler := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	blank := strings.Repeat(" ", lookAhead)
	for _, c := range []struct {
		name, in string
		want     int // objects without a flaw; an array has 2 in front
		first    string
		err      string
	}{
		{"look-ahead just decides: lines", "[1," + filler(lookAhead-6) + "]\n2\n", 2, "[", ""},
		{"one byte more: array", "[1," + filler(lookAhead-5) + "]\n2\n", 2, "1", behind},
		{"huge array on one line", "[1," + filler(3*lookAhead) + "]\n", 2, "1", ""},
		{"array, then blanks without end", "[1,2]\n" + blank + "\n3", 2, "1", behind},
		{"blank lines before an array", strings.Repeat(" \n", lookAhead) + " [1,2]", 2, "1", ""},
		{"blanks without end before an array", blank + "[1,2]", 1, " ", ""},
		{"almost as many", blank[1:] + "[1,2]", 2, "1", ""},
		{"deep array over lines", strings.Repeat("[", lookAhead/2) + "\n", 0, "[", ""},
		{"huge values", "{\n\"a\":" + filler(2*lookAhead) + "\n}\n[\n]\n", 2, "{", ""},
		{"huge first line", "{\"a\":" + filler(2*lookAhead) + "}\n[\n]\n", 1, "{", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, buffer := range []int{1000, 3 << 20} {
				objects, err := scan(strings.NewReader(c.in), ScanOptions{Buffer: buffer}, 0)
				if !failsAs(err, c.err) || len(objects) == 0 {
					t.Fatalf("got %d objects, %v", len(objects), err)
				}
				good := 0
				for _, o := range objects {
					if o.Flaw == "" {
						good++
					}
				}
				if good != c.want || string(objects[0].Bytes[:1]) != c.first {
					t.Errorf("buffer %d: %d good objects, first begins with %q, want %d, %q", buffer, good, objects[0].Bytes[:1], c.want, c.first)
				}
			}
		})
	}
}

func TestScanner_tooLarge(t *testing.T) {
	t.Parallel()
	const limit = 20
	left := func(object, where string) string {
		return fmt.Sprintf(`{"chunkline":"object left out","bytes":%d,"sha256":"%x"} ! %s: object too large: %d bytes, the limit is %d`,
			len(object), sha256.Sum256([]byte(object)), where, len(object), limit)
	}
	fits := `"` + strings.Repeat("x", limit-2) + `"`
	large := `"` + strings.Repeat("x", limit-1) + `"`
	huge := `{"a":"` + strings.Repeat("],\\\"", 1000) + `"}`
	lines := "[\n" + strings.Repeat("\n", limit) + "]"
	runScanCases(t, []scanCase{
		{name: "lines", in: fits + "\n" + large + "\n" + huge + "\n1\n", want: []string{
			fits, left(large, "line 2, byte 21"), left(huge, "line 3, byte 43"), "1"}},
		{name: "lines, CRLF", in: fits + "\r\n" + large + "\r\n" + huge + "\r\n1\r\n", want: []string{
			fits, left(large, "line 2, byte 22"), left(huge, "line 3, byte 45"), "1"}},
		{name: "last line", in: fits + "\n" + large, want: []string{fits, left(large, "line 2, byte 21")}},
		{name: "last line that fits", in: "1\n" + fits + "\r", want: []string{"1", fits}},
		{name: "CRs at the end of a line", in: large + "\r\r\n1\n", want: []string{left(large+"\r", "line 1, byte 0"), "1"}},
		{name: "array", in: "[" + fits + "," + large + ", " + huge + " \n ,\n" + lines + ",1]", want: []string{
			fits, left(large, "line 1, byte 22"), left(huge, "line 1, byte 45"), left(lines, fmt.Sprintf("line 3, byte %d", 45+len(huge)+5)), "1"}},
		{name: "array, line count goes on", in: "[" + lines + ",\nx]", want: []string{
			left(lines, "line 1, byte 1"),
			fmt.Sprintf("x ! line %d, byte %d: not valid JSON: invalid character 'x' looking for beginning of value (byte 1 of the object)", limit+3, len(lines)+3)}},
		{name: "array cut off", in: "[" + huge, want: []string{left(huge, "line 1, byte 1")}, err: notEnded},
		{name: "values", in: fits + large + " \n" + huge + lines + "1", format: Values, want: []string{
			fits, left(large, "line 1, byte 20"), left(huge, "line 2, byte 43"), left(lines, fmt.Sprintf("line 2, byte %d", 43+len(huge))), "1"}},
		{name: "values cut off", in: "1" + huge[:len(huge)-1], format: Values, want: []string{"1"}, err: "in the middle of the value that begins in line 1, byte 1"},
		{name: "values, broken early", in: "1 {x" + huge, format: Values, want: []string{"1"}, err: "it is not certain where the next value begins"},
	}, limit)
}

func TestOmitted_splitMakesNoDifference(t *testing.T) {
	t.Parallel()
	in := []byte("ab" + strings.Repeat(" ", 10) + "c" + strings.Repeat(" \n", 6))
	want := "ab" + strings.Repeat(" ", 10) + "c" + strings.Repeat(" \n", 4) // no more than 4 are behind
	for step := range in {
		o := newOmitted(blanks, 4)
		for part := range slices.Chunk(in, step+1) {
			o.add(part)
		}
		if got := o.sum.Sum(nil); [sha256.Size]byte(got) != sha256.Sum256([]byte(want)) || o.size != int64(len(want)) {
			t.Errorf("in parts of %d: size %d, sum %x, want %d bytes %q", step+1, o.size, got, len(want), want)
		}
	}
}

// The limit, in either format: the buffer must be able to grow to it. It is lower here; test/corpus
// has it as it is.
func TestScanner_largestObject(t *testing.T) {
	t.Parallel()
	const most = 4 * shrinkAbove
	largest := `"` + strings.Repeat("x", most-2) + `"`
	for _, in := range []io.Reader{
		io.MultiReader(strings.NewReader(largest), strings.NewReader("\r\n"), strings.NewReader(largest), strings.NewReader(" \n1")),
		io.MultiReader(strings.NewReader("["), strings.NewReader(largest), strings.NewReader(","), strings.NewReader(largest), strings.NewReader(" ,1]")),
	} {
		s := NewScanner(in, ScanOptions{})
		if s.max != MaxObject {
			t.Errorf("an object may have %d bytes, want %d", s.max, MaxObject)
		}
		s.max = most
		if o, err := s.Next(); err != nil || o.Flaw != "" || string(o.Bytes) != largest {
			t.Fatalf("object of %d bytes: got %d bytes, flaw %q, %v", most, len(o.Bytes), o.Flaw, err)
		}
		if o, err := s.Next(); err != nil || len(o.Bytes) > 200 || !strings.Contains(o.Flaw, "object too large") {
			t.Fatalf("object and a blank: got %d bytes, flaw %q, %v, want a placeholder", len(o.Bytes), o.Flaw, err)
		}
		if o, err := s.Next(); err != nil || o.Flaw != "" || string(o.Bytes) != "1" {
			t.Fatalf("the object after it: got %.20q, flaw %q, %v, want 1", o.Bytes, o.Flaw, err)
		}
		if len(s.buf) > most+most/8 {
			t.Errorf("the buffer has grown to %d bytes", len(s.buf))
		}
		if _, err := s.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v, want io.EOF", err)
		}
		if len(s.buf) > shrinkAbove {
			t.Errorf("the buffer still has %d bytes", len(s.buf))
		}
	}
}
