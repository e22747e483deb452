//go:build long

package corpus

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

const (
	noJSON  = "not valid JSON"
	noUTF8  = "not valid UTF-8"
	tooDeep = "exceeded max depth"
)

// corpus returns lines at the edges of what JSON allows, and beyond.
func corpus() []line {
	return slices.Concat(
		alive( // values of every kind, byte for byte
			`{}`, `[]`, `null`, `true`, `false`, `""`, `"x"`, ` {"a" : [ 1 ,2 ] }`+"\t", "{\"a\":\r1}", `[[],[[]],{}]`,
		),
		alive( // numbers that a float64 cannot hold, or would change
			`0`, `-0`, `-0.0`, `1.000`, `1E+5`, `9007199254740993`, `-9223372036854775809`, `18446744073709551616`, `1e400`, `-1e400`, `1e-400`,
			strings.Repeat("9", 400), `-`+strings.Repeat("1", 400)+`.5`, `0.`+strings.Repeat("1", 1000), `{"n":[1e1000000,0.10,100e-2]}`,
		),
		alive( // strings: escapes stay escapes, and unusual but legal characters stay
			`"\u0000\b\f\n\r\t\/\\\""`, `"\u00e9é"`, `"\ud83d\ude00"`, `"\ud800"`, `"\udc00\ud800"`, `"\uD800x"`, "\"\u2028\u2029\"", "\"\x7f\u0080\"",
			"\"\ufeff\"", "\"\ufffe\uffff\U0010ffff\"", `"</script>&amp;"`, `"`+strings.Repeat(`\u0041`, 10_000)+`"`,
		),
		alive( // keys
			`{"a":1,"a":2}`, `{"a":{"b":1},"a":{"c":2}}`, `{"a":1,"A":2,"\u0061":3}`, `{"z":1,"a":2,"":3}`, `{"__proto__":{"x":1},"constructor":null}`,
			`{"ordinal":7,"error":"x","object":1,"text":"y"}`, `{"chunkline":"no object"}`, `{"`+strings.Repeat("k", 70_000)+`":1}`,
		),
		alive(nested("[", "]", 10_000), nested(`{"a":`, "}", 10_000)),
		dead(tooDeep, nested("[", "]", 10_001), nested(`{"a":`, "}", 10_001), strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000)),
		dead(noJSON, // cut off
			`{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":{"b":1}`, `[`, `[1`, `[1,`, `"abc`, `"`, `"abc\`, `"\"`, `"\u12`, `tru`, `nul`, `-`, `1.`, `1e`, `1e+`,
		),
		dead(noJSON, // more than one value
			`{"a":1}x`, `{"a":1}}`, `[1]]`, `1 2`, `{} {}`, `{}{}`, `{},`, `"a""b"`, `truefalse`, `null,null`, `{"a":1};`, `1`+"\r"+`2`,
		),
		dead(noJSON, // unbalanced
			`}`, `]`, `{]`, `[}`, `{"a":[1}`, `{"a":1]`, `[{"a":1]`,
		),
		dead(noJSON, // of other languages
			`{'a':1}`, `'a'`, `{a:1}`, `{“a”:1}`, `{"a":1} // c`, `/* c */ 1`, `{"a":1 /* c */}`, `# c`, `-- c`, `NaN`, `Infinity`, `-Infinity`, `nan`, `True`, `None`,
			`undefined`, `{"a":undefined}`, `{"a":.5}`, `{"a":5.}`, `0x10`, `1_000`, `1,5`, `+1`, `- 1`, `--1`, `01`, `-01`, `00`, `１`, `1n`, `a,b,c`, `<a/>`, `---`,
		),
		dead(noJSON, // commas and colons
			`{"a":1,}`, `[1,]`, `[,1]`, `[,]`, `{,}`, `{"a":1,,"b":2}`, `[1 2]`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a"::1}`, `{"a":}`, `{:1}`, `{1:2}`, `{null:1}`, `{"a"}`, `,`, `:`,
		),
		dead(noJSON, // in strings
			"\"a\tb\"", "\"\x00\"", "\"\x1f\"", "\"a\rb\"", `"\x41"`, `"\'"`, `"\u00g0"`, `"\u{41}"`, `"\U0001F600"`, `"\0"`, "\"\\\t\"", `{"a\x":1}`,
		),
		dead(noJSON, // characters that are no JSON blanks, byte order marks and NULs
			"\ufeff{}", "{}\ufeff", "\u00a0{}", "{\u00a0}", "\u2028{}", "\v{}", "\f", "\u0085", "\u200b", "\x00", "{}\x00", "\x00{}", strings.Repeat("\x00", 5000), "\x1a", "\x1b[31m{}",
		),
		dead(noUTF8, // overlong, surrogates, cut off, beyond the end, never valid
			"\"\xc0\xaf\"", "\"\xc1\xbf\"", "\"\xe0\x80\xaf\"", "\"\xf0\x80\x80\xaf\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xed\xbf\xbf\"", "\"\xed\xa0\xbd\xed\xb8\x80\"",
			"\"\xe2\x82\"", "\"\xf0\x9f\x98\"", "\"\xc3\"", "\"\xe2\x28\xa1\"", "\"\x80\"", "\"\xbf\xbf\"", "\"\xf4\x90\x80\x80\"", "\"\xf8\x88\x80\x80\x80\"",
			"\"\xfc\x84\x80\x80\x80\x80\"", "\"\xfe\"", "\"\xff\"", "\"caf\xe9\"", "{\"k\xff\":1}", "{\"a\":\"\ufffd\xff\"}", "\"\\ud800\xed\xa0\x80\"",
		),
		dead(noJSON, "\xff", "{\xff}", "\xff\xfe{\x00}\x00", string(utf16Of(`{"a":1}`))),
	)
}

func nested(open, shut string, depth int) string {
	inside := ""
	if open != "[" {
		inside = "1"
	}
	return strings.Repeat(open, depth) + inside + strings.Repeat(shut, depth)
}

// utf16Of has no byte that would end a line.
func utf16Of(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return bytes.TrimRight(b, "\n")
}

var every = flag.Int("corpus.every", 24, "run every so many lines in a job of their own; 1: all")

// alone returns an input of one line. The line is between two good ones if alone it would
// be an array, or its byte order mark that of the file.
func alone(l line) input {
	if strings.HasPrefix(strings.TrimLeft(l.text, " \t"), "[") || strings.HasPrefix(l.text, "\ufeff") {
		return asLines("\n", slices.Concat(alive(`{"good":1}`), []line{l}, alive(`{"good":2}`))...)
	}
	return asLines("\n", l)
}

// TestLinesAlone: each line is a file of its own; one job has all files, and some files
// have jobs of their own. With --format lines, because otherwise two values on a line are
// not one bad line.
func TestLinesAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var objects []object
	for i, l := range corpus() {
		in := alone(l)
		name := filepath.Join(dir, fmt.Sprintf("%04d.in", i))
		if err := os.WriteFile(name, []byte(in.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, o := range in.objects {
			if o.dead != "" {
				o.at = name + ", " + o.at
			}
			objects = append(objects, o)
		}
		if i%*every == 0 {
			t.Run(fmt.Sprintf("%d %.20q", i, l.text), func(t *testing.T) {
				t.Parallel()
				in.with("--format", "lines").check(t)
			})
		}
	}
	t.Run("all", func(t *testing.T) {
		j := run(t, filepath.Join(dir, "*.in"), "-t", "identity", "--chunk-size", "10", "--format", "lines")
		j.want(t, objects, 10)
		j.verify(t)
	})
}

// TestLinesMixed: all lines in one file, each between good ones that must not be
// affected, in chunks of several sizes, with either line break.
func TestLinesMixed(t *testing.T) {
	t.Parallel()
	var lines []line
	for i, l := range corpus() {
		lines = append(lines, line{text: fmt.Sprintf(`{"good":%d,"pad":"%*d"}`, i, i%50, i)}, l)
	}
	lines = append(lines, line{text: `{"good":"last"}`})
	for _, end := range []string{"\n", "\r\n"} {
		for _, size := range []int{1, 7, 100} {
			t.Run(fmt.Sprintf("%d %q", size, end), func(t *testing.T) {
				t.Parallel()
				in := asLines(end, lines...)
				in.size = size
				in.check(t).prove(t, in.objects)
			})
		}
	}
}
