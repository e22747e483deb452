package chunk

import (
	"strings"
	"testing"
)

func TestScanner_values(t *testing.T) {
	t.Parallel()
	const unsure = "it is not certain where the next value begins"
	runScanCases(t, []scanCase{
		{name: "pretty-printed", in: "{\n  \"a\": 1\n}\n{\r\n  \"a\": [\n    2\n  ]\n}\n", want: []string{`{   "a": 1 }`, `{    "a": [     2   ] }`}},
		{name: "one value over lines, no last line break", in: "{\n\"a\":1\n}", want: []string{`{ "a":1 }`}},
		{name: "the first ones are plain", in: "{}\n\n[]\n1\n\"x\"\n{\n \"a\":1\n}\n{}\n", want: []string{"{}", "[]", "1", `"x"`, `{  "a":1 }`, "{}"}},
		{name: "a first one that is not", in: "{\"a\":1}\n{\n}\n", want: []string{
			`{"a":1}`, "{ ! line 2, byte 8: not valid JSON: unexpected end of JSON input (byte 1 of the object)",
			"} ! line 3, byte 10: not valid JSON: invalid character '}' looking for beginning of value (byte 1 of the object)"}},
		{name: "side by side", in: `{"a":1}{"a":2} [3][4]"5""6"7 null "8"true{}`, want: []string{
			`{"a":1}`, `{"a":2}`, "[3]", "[4]", `"5"`, `"6"`, "7", "null", `"8"`, "true", "{}"}},
		{name: "arrays are values", in: "[\n1\n]\n[2]", format: Values, want: []string{"[ 1 ]", "[2]"}},
		{name: "a last number", in: "1 23", want: []string{"1", "23"}},
		{name: "brackets in strings", in: "{\n\"}\\\"{\":\"]\"}{}", want: []string{`{ "}\"{":"]"}`, "{}"}},
		{name: "mark and blanks", in: "\ufeff \n{\n}\n ", want: []string{"{ }"}},
		{name: "a bad value among good ones", in: "{\n\"a\":1}\n{\"a\":x}\n{\"a\":[2}}\n{}\n", want: []string{
			`{ "a":1}`,
			`{"a":x} ! line 3, byte 9: not valid JSON: invalid character 'x' looking for beginning of value (byte 6 of the object)`,
			`{"a":[2}} ! line 4, byte 17: not valid JSON: invalid character '}' after array element (byte 8 of the object)`, "{}"}},
		{name: "invalid UTF-8", in: "{\n}\n\"\xff\" 1\n", want: []string{"{ }", "\"\xff\" ! line 3, byte 4: not valid UTF-8 (byte 2 of the object)", "1"}},
		{name: "cut off in an object", in: "{\n}\n{\n\"a\":", want: []string{"{ }"}, err: "the input ends in the middle of this value"},
		{name: "cut off in a string", in: "{\n}\n\"a", want: []string{"{ }"}, err: "the input ends in the middle of this value"},
		{name: "cut off in a word", in: "{\n}\ntru", want: []string{"{ }"}, err: unsure},
		{name: "cut off at once", in: "{\n\"a\"\n", err: "the input ends in the middle of this value"},
		{name: "text between", in: "{\n}\ndone\n{}", want: []string{"{ }"}, err: unsure},
		{name: "commas between", in: "{\n},\n{}", format: Values, want: []string{"{ }"}, err: unsure},
		{name: "closed too often", in: "{\n}}\n{}", format: Values, want: []string{"{ }"}, err: unsure},
		{name: "numbers without a blank", in: "{\n}1-2", format: Values, want: []string{"{ }"}, err: unsure},
		{name: "words without a blank", in: "truefalse", format: Values, err: unsure},
		{name: "a string over lines", in: "{\n}\"a\nb\"", format: Values, want: []string{"{ }"}, err: unsure},
		{name: "nothing, forced", in: " \n", format: Values},
	}, 0)
}

// One bad line costs only its own object, whatever its content and its place.
func TestScanner_badLineAmongLines(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"[INFO] start", "[1,2", "[", "x", `{"a":1`, `{"a":x}`, "[1] start", "[1,2] start", "2024-01-01 [x]", "]", "\"", "\xff", "\x00"} {
		for _, at := range []int{0, 1, 2} {
			lines := []string{`{"a":1}`, `{"a":2}`, `{"a":3}`, `{"a":4}`}
			lines[at] = bad
			if at == 0 && bad == "[" {
				continue // it begins an array, and the job fails
			}
			objects, err := scan(strings.NewReader(strings.Join(lines, "\n")), ScanOptions{}, 0)
			if err != nil || len(objects) != len(lines) {
				t.Errorf("%q at %d: %q, %v", bad, at, describe(objects), err)
				continue
			}
			for i, o := range objects {
				if (o.Flaw != "") != (i == at) || string(o.Bytes) != lines[i] {
					t.Errorf("%q at %d: object %d is %q, flaw %q", bad, at, i, o.Bytes, o.Flaw)
				}
			}
		}
	}
}
