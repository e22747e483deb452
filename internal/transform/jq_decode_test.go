package transform

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzDecode holds our reader against encoding/json: the same value, and what
// one refuses the other refuses, in the same words.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `""`, `0`, `null`, `true`, `false`, ` { "a" : [ 1 , -2.50e+3 , 0.1E-7 ] , "b" : { } } `, `{"a":1,"a":{"b":2},"a":[3]}`,
		`"a\u00e9\ud83d\ude00\ud800\"\\\/\b\f\n\r\t"`, `"é😀"`, "\"\xff\"", "\"a\xe9\\n\"", `"\x"`, `"\`, `"`, "\"\n\"", "\"\x00\"", `{"\n":1}`,
		`01`, `-`, `1.`, `.1`, `1e`, `1e+`, `+1`, `--1`, `1 2`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1,}`, `[1`, `{"a":1`, `nul`, `truex`, ``, ` `,
		"\ufeff1", "1\x00", "\v1", `1e400`, `9007199254740993`, `-0`, `[[[[]]]]`, `[1 2]`, `{"a" 1}`, `{"a":1 "b":2}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := decode([]byte(text))
		want, wantErr := decodeAny([]byte(text))
		if !reflect.DeepEqual(got, want) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Errorf("%q: %#v, %v; encoding/json: %#v, %v", text, got, err, want, wantErr)
		}
	})
}

// Ten thousand levels are read, as by encoding/json, and one more is refused.
func TestDecodeDepth(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		for depth, fits := range map[int]bool{maxDepth: true, maxDepth + 1: false} {
			for _, inside := range []string{"1", "[]", "{}"} {
				n := depth
				if inside != "1" {
					n--
				}
				text := []byte(strings.Repeat(pair[0], n) + inside + strings.Repeat(pair[1], n))
				_, err := decode(text)
				_, wantErr := decodeAny(text)
				if (err == nil) != fits || (wantErr == nil) != fits {
					t.Errorf("%s %d deep: %v, encoding/json: %v", pair[0], depth, err, wantErr)
				}
			}
		}
	}
}
