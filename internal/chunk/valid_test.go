package chunk

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// values are texts at the edges of what JSON allows.
var values = []string{
	``, ` `, `null`, `nul`, `nulll`, `true`, `false`, `tru`, `True`, `-`, `-0`, `0`, `00`, `01`, `-01`, `1.`, `.1`, `1.5`, `1e`, `1e+`, `1e400`, `1E-7`,
	`9007199254740993`, `+1`, `0x1`, `NaN`, `Infinity`, `""`, `"`, `"a`, `"\"`, `"\""`, `"\\"`, `"\\\"`, `"\x"`, `"\/\b\f\n\r\t"`, `"\u00e9"`,
	`"\ud800"`, `"\udc00\ud800"`, `"\u00g0"`, `"\u00"`, "\"\t\"", "\"\x1f\"", "\"\x7f\"", "\"\x00\"", "\"\u2028\"", "\"\xff\"", "\"\xed\xa0\x80\"",
	`"12345678"`, `"1234567\"9"`, `"12345678\u0041234567890"`, `[]`, `[ ]`, `[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `[1,2]`, `[[],[[]]]`, `[}`, `{]`,
	`{}`, `{ }`, `{`, `}`, `{"a"}`, `{"a":}`, `{"a":1`, `{"a":1,}`, `{"a":1,"a":2}`, `{a:1}`, `{"a" : 1 , "b" : [ { } ] }`, `{"a":1}}`, `{"a":1]`, `{1:2}`,
	`{"a":1} x`, `{"a":1} {"b":2}`, "\ufeff{}", "{\"a\":\r\n1}", "\v1", "1\x00", `'a'`, `{"__proto__":{"a":[1,2,{"b":null}]}}`,
	`[{"a":[{"b":[{}]}]},{"c":{"d":{"e":[]}}}]`, `{"a":{"b":[1]},"c":[{"d":1}]}`,
}

func checkVerdict(t interface {
	Helper()
	Errorf(string, ...any)
}, b []byte) {
	t.Helper()
	got, want := valid(b), json.Valid(b) && utf8.Valid(b)
	if got != want {
		t.Errorf("valid(%.200q) = %v, want %v", b, got, want)
	}
}

func TestValid_agreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, v := range values {
		checkVerdict(t, []byte(v))
		checkVerdict(t, []byte(" \t"+v+"\r\n"))
		checkVerdict(t, []byte("["+v+"]"))
		checkVerdict(t, []byte(`{"k":`+v+`}`))
		for i := range v { // every cut-off form, too
			checkVerdict(t, []byte(v[:i]))
		}
	}
}

func TestValid_nestingLimit(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{63, 64, 65, MaxDepth - 1, MaxDepth, MaxDepth + 1} {
		arrays := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		objects := strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
		for _, v := range []string{arrays, objects} {
			if got, want := valid([]byte(v)), depth <= MaxDepth; got != want {
				t.Errorf("depth %d: valid = %v, want %v", depth, got, want)
			}
			checkVerdict(t, []byte(v))
		}
	}
	checkVerdict(t, bytes.Repeat([]byte("["), 1<<20))
}

func TestValid_properties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(jsonValue().Draw(t, "value"))
		checkVerdict(t, b)
		for range rapid.IntRange(0, 3).Draw(t, "edits") {
			if len(b) == 0 {
				break
			}
			i := rapid.IntRange(0, len(b)-1).Draw(t, "place")
			b[i] = rapid.SampledFrom([]byte("{}[]\",:\\ue1-.+0 \n\x00\x1f\x80\xff")).Draw(t, "byte")
		}
		checkVerdict(t, b)
	})
}

func FuzzValid(f *testing.F) {
	for _, v := range values {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkVerdict(t, b) })
}

// jsonValue draws JSON texts with odd but legal spacing, keys and numbers.
func jsonValue() *rapid.Generator[string] {
	blank := rapid.SampledFrom([]string{"", "", "", " ", "\t", "\n", "\r\n", "  \n "})
	leaf := rapid.OneOf(
		rapid.SampledFrom([]string{`null`, `true`, `false`, `0`, `-0`, `1e400`, `9007199254740993`, `-1.5E+3`, `""`, `"\ud800"`, `"a,b]}\"[{"`, `"é\\"`, `"\u2028,"`}),
		rapid.Map(rapid.String(), func(s string) string { b, _ := json.Marshal(s); return string(b) }),
	)
	var value func(depth int) *rapid.Generator[string]
	value = func(depth int) *rapid.Generator[string] {
		if depth == 0 {
			return leaf
		}
		return rapid.Custom(func(t *rapid.T) string {
			kind := rapid.IntRange(0, 3).Draw(t, "kind")
			if kind < 2 {
				return leaf.Draw(t, "leaf")
			}
			parts := rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "parts")
			pad := blank.Draw(t, "blank")
			for i := range parts {
				parts[i] = pad + parts[i] + pad
				if kind == 2 {
					parts[i] = pad + `"k"` + pad + ":" + parts[i]
				}
			}
			if kind == 2 {
				return "{" + strings.Join(parts, ",") + pad + "}"
			}
			return "[" + strings.Join(parts, ",") + pad + "]"
		})
	}
	return value(3)
}
