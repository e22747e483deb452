//go:build long

package corpus

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// placeholder stands for a missing object.
const placeholder = `{"chunkline":"no object"}`

// files returns whole inputs, for what depends on more than one object or line.
func files() map[string]input {
	all := map[string]input{
		"empty":            {},
		"a mark only":      {text: "\ufeff"},
		"blank":            {text: " \t\r\n\n\r\n   "},
		"line breaks only": {text: strings.Repeat("\n", 1000)},
		"no last line break": {
			text: "{}\n" + `{"a":1}`, objects: living("{}", `{"a":1}`),
		},
		"no last line break, CR": {text: "1\r\n2\r", objects: living("1", "2")},
		"mark":                   {text: "\ufeff{}\n1\n", objects: living("{}", "1")},
		"two marks":              {text: "\ufeff\ufeff{}\n1\n", objects: []object{{"\ufeff{}", noJSON, "line 1, byte 3"}, {text: "1"}}},
		"half a mark":            {text: "\xef\xbb{}\n1\n", objects: []object{{"\xef\xbb{}", noJSON, "line 1, byte 0"}, {text: "1"}}},
		"mark, CRLF":             {text: "\ufeff{}\r\n1\r\n", objects: living("{}", "1")},
		"both line breaks":       {text: "1\r\n2\n\r\n\n3\r\n", objects: living("1", "2", "3")},
		"CR alone": {
			text: "1\r2\r3\n", objects: []object{{"1\r2\r3", noJSON, "line 1, byte 0"}}, flags: []string{"--format", "lines"},
		},
		"CR alone, as values": {text: "1\r2\r3\r", objects: living("1", "2", "3")},
		"blank lines":         {text: "\n\n1\n \t \n\r\n2\n\n\n", objects: living("1", "2")},
		"blank lines count": {
			text: "\n\n\n \nx\n1\n", objects: []object{{"x", noJSON, "line 5, byte 5"}, {text: "1"}},
		},
		"UTF-16": {
			text:    "\xff\xfe{\x00}\x00\n\x00\n",
			objects: []object{{"\xff\xfe{\x00}\x00", noJSON, "line 1, byte 0"}, {"\x00", noJSON, "line 2, byte 7"}}, flags: []string{"--format", "lines"},
		},
		"an object over lines": {
			text:    "{\n\"a\":1\n}\n",
			objects: []object{{"{", noJSON, "line 1, byte 0"}, {`"a":1`, noJSON, "line 2, byte 2"}, {"}", noJSON, "line 3, byte 8"}}, flags: []string{"--format", "lines"},
		},
		"values over lines": {
			text:    "{}\n{\n  \"a\": [\r\n    1e400\n  ]\n}\n[1][2]{\"b\":x}\"\xff\" null",
			objects: []object{{text: "{}"}, {text: `{   "a": [      1e400   ] }`}, {text: "[1]"}, {text: "[2]"}, {`{"b":x}`, noJSON, "line 7, byte 37"}, {"\"\xff\"", noUTF8, "line 7, byte 44"}, {text: "null"}},
		},
		"a line in front":        {text: "[INFO] start\n{\"a\":1}\n", objects: []object{{"[INFO] start", noJSON, "line 1, byte 0"}, {text: `{"a":1}`}}},
		"half an array in front": {text: "[1,2\n{\"a\":1}\n", objects: []object{{"[1,2", noJSON, "line 1, byte 0"}, {text: `{"a":1}`}}},
		"text file": {
			text:    "Dear all,\n\nnot JSON.\n",
			objects: []object{{"Dear all,", noJSON, "line 1, byte 0"}, {"not JSON.", noJSON, "line 3, byte 11"}}, flags: []string{"--format", "lines"},
		},
		"all dead": asLines("\n", slices.Repeat(dead(noJSON, "x"), 250)...).with("--format", "lines", "--keep-going"),

		"empty array":          {text: "[]"},
		"empty array, blanks":  {text: "\ufeff\n [\r\n\t] \n\n"},
		"array":                {text: `[{"a":1},[2],"],[",null]`, objects: living(`{"a":1}`, `[2]`, `"],["`, `null`)},
		"array, CRLF and mark": {text: "\ufeff[\r\n1,\r\n2\r\n]\r\n", objects: living("1", "2")},
		"array, line breaks in elements": {
			text: "[\n  {\n    \"a\": [\r\n1,\n2]\n  }\n,\"x\"]\n", objects: living(`{     "a": [  1, 2]   }`, `"x"`),
		},
		"array, byte for byte": {
			text:    `[ 1e400 ,{"z":1,"a":9007199254740993,"a":2} , "\ud800` + "\u2028" + `" , -0]`,
			objects: living(`1e400`, `{"z":1,"a":9007199254740993,"a":2}`, `"\ud800`+"\u2028"+`"`, `-0`),
		},
		"array, bad elements": {
			text: "[1,\n{'a':1},\"\xff\",[2},tru,\"a\nb\",3]",
			objects: []object{
				{text: "1"}, {"{'a':1}", noJSON, "line 2, byte 4"}, {"\"\xff\"", noUTF8, "line 2, byte 12"}, {"[2}", noJSON, "line 2, byte 16"},
				{"tru", noJSON, "line 2, byte 20"}, {`"a b"`, noJSON, "line 2, byte 24"}, {text: "3"},
			},
		},
		"array, trailing comma": {text: "[1,2,]", objects: []object{{text: "1"}, {text: "2"}, {placeholder, "no element before ']'", "line 1, byte 5"}}},
		"array, commas": {
			text:    "[,1,,2]",
			objects: []object{{placeholder, "no element before ','", "line 1, byte 1"}, {text: "1"}, {placeholder, "no element before ','", "line 1, byte 4"}, {text: "2"}},
			flags:   []string{"--format", "array"},
		},
		"array, no comma": {text: "[{} {},1]", objects: []object{{"{} {}", "no comma or", "line 1, byte 1"}, {text: "1"}}, flags: []string{"--format", "array"}},
		"arrays as lines": {text: "[1,2]\n[3]\n", objects: living("[1,2]", "[3]")},
		"a million brackets": {
			text:    "1\n" + strings.Repeat("[", 1_000_000) + "\n2\n",
			objects: []object{{text: "1"}, {strings.Repeat("[", 1_000_000), tooDeep, "line 2, byte 2"}, {text: "2"}},
		},
		"a million brackets, closed, in an array": {
			text:    "[1,\n" + nested("[", "]", 1_000_000) + ",2]",
			objects: []object{{text: "1"}, {nested("[", "]", 1_000_000), tooDeep, "line 2, byte 4"}, {text: "2"}},
		},
		"a million objects, nested": {
			text:    "1\n" + nested(`{"":`, "}", 1_000_000) + "\n2\n",
			objects: []object{{text: "1"}, {nested(`{"":`, "}", 1_000_000), tooDeep, "line 2, byte 2"}, {text: "2"}},
		},
		"table": asTable(`a,b
1,"x,""y"""
`, living(`{"a":"1","b":"x,\"y\""}`)),
		"table, mark, CRLF, empty lines": asTable("\ufeffa,b\r\n\r\n1,2\r\n\r\n3,4", living(`{"a":"1","b":"2"}`, `{"a":"3","b":"4"}`)),
		"table, nothing but a header":    asTable("a,b\n", nil),
		"table, strange fields": asTable("\"k\n\",\n\x00\x7f,</script>\u2028\ufeff\n\"\r\n\",' \\u0041 '\n",
			living(`{"k\n":"\u0000\u007f","":"</script>`+"\u2028\ufeff"+`"}`, `{"k\n":"\u000d\n","":"' \\u0041 '"}`)),
		"table, bad rows": asTable("a,b\n1,2,3\n1\n\"x\"y,\"\n5\" disk,1\n\xff,1\n\"l\n\",2,3\nx,y\n", []object{
			{"1,2,3", "3 fields, and the table 2 columns", "line 2, byte 4"}, {"1", "1 fields", "line 3, byte 10"}, {`"x"y,"`, "text follows the quote", "line 4, byte 12"},
			{`5" disk,1`, "a quote in a field", "line 5, byte 19"}, {"\xff,1", noUTF8, "line 6, byte 29"}, {`"l ",2,3`, "3 fields", "line 7, byte 33"}, {text: `{"a":"x","b":"y"}`},
		}),
		"table, types": asTable("i,f,s\n18446744073709551616,1e400,01\n,,\n1.5,1,1\n", []object{
			{text: `{"i":18446744073709551616,"f":1e400,"s":"01"}`}, {text: `{"i":null,"f":null,"s":""}`}, {"1.5,1,1", `"1.5" is not of the type int`, "line 4, byte 39"},
		}, "types=i:int,f:float"),
		"table without quotes": asTable("1;\"\n", living(`{"a":"1","b":"\""}`), "delimiter=;", "quote=none", "header=no", "columns=a,b"),

		"identical": asLines("\n", slices.Repeat(alive(`{"a":1}`), 250)...),
	}
	for _, n := range []int{1, 99, 100, 101, 200} {
		var lines []line
		for i := range n {
			lines = append(lines, line{text: fmt.Sprintf(`{"n":%d}`, i)})
		}
		all[fmt.Sprint(n, " objects")] = asLines("\n", lines...)
	}
	return all
}

func living(texts ...string) (objects []object) {
	for _, text := range texts {
		objects = append(objects, object{text: text})
	}
	return objects
}

// asTable is a CSV file with options.
func asTable(text string, objects []object, options ...string) input {
	return input{text: text, objects: objects, flags: []string{"--format", strings.Join(append([]string{"csv"}, options...), "&")}}
}

// with adds flags to the command chunkline run.
func (in input) with(flags ...string) input {
	in.flags = append(in.flags, flags...)
	return in
}

// TestRefused: if it is not certain what the objects are, the job fails and says
// where and why.
func TestRefused(t *testing.T) {
	t.Parallel()
	const noOutput = "wrong source"
	for name, in := range map[string]struct {
		text string
		want []string
	}{
		"last line is torn":               {"1\n{", []string{"line 2, byte 2", "in the middle of a line"}},
		"value is torn":                   {"{\n}\n{\n\"a\"\n", []string{"line 3, byte 4", "in the middle of this value"}},
		"array, cut off":                  {`[1,{"a":`, []string{"line 1, byte 3", "in or after this element"}},
		"array, cut off behind a comma":   {"[1,\n", []string{"line 2, byte 4", "before the ']'"}},
		"array, only begun":               {"[", []string{"line 1, byte 1", "before the ']'"}},
		"array, text behind":              {"[1\n] x\n{\"a\":1}\n", []string{"line 2, byte 5", "text follows the end of the array", "--format lines"}},
		"array, NUL behind":               {"[1\n]\x00", []string{"line 2, byte 4", "text follows the end"}},
		"array, another behind":           {"[\n1\n]\n[2]\n", []string{"line 4, byte 6", "text follows the end"}},
		"a megabyte of brackets":          {strings.Repeat("[", 1_000_000), []string{"line 1, byte 0", "max depth"}},
		"table, quote that is not closed": {"a,b\n1,\"2\n3,4\n", []string{"line 2, byte 4", "a quote is missing", "quote=none"}},
		"table, torn":                     {"a,b\n1,2\n3", []string{"line 3, byte 8", "in the middle of a row"}},
		"table, another delimiter":        {"a;b\n1;2\n", []string{noOutput, "is ';' the delimiter"}},
		"table, a name twice":             {"a,a\n1,2\n", []string{noOutput, "two columns are called"}},
		"values, text between":            {"{\n}\n{\n}\nx\n", []string{"line 5, byte 8", "--format lines"}},
		"no JSON":                         {"Dear all,\n\nnot JSON.\n", []string{noOutput, "none of the first 2 lines is JSON", "--format lines"}},
		"UTF-16":                          {"\xff\xfe{\x00}\x00\n\x00", []string{noOutput, "none of the first 2 lines is JSON"}},
		"values over lines, one is none":  {"{\n  \"a\": x,\n  \"b\": [\n    1\n  ]\n}\n", []string{noOutput, "line 2, byte 9", "--format lines"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			path, out := filepath.Join(folder, "in"), filepath.Join(folder, "out.jsonl")
			if strings.HasPrefix(name, "table") {
				path += ".csv"
			}
			if err := os.WriteFile(path, []byte(in.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, stderr, code := proc.Run(t, nil, "chunkline", "run", "-i", path, "-o", out, "-t", "identity")
			want := 1
			if in.want[0] == noOutput {
				want = 2
				if _, err := os.Stat(out + ".chunkline"); err == nil {
					t.Error("a job was begun")
				}
			}
			last := strings.TrimSpace(stderr[strings.LastIndex(strings.TrimSpace(stderr), "\n")+1:])
			for _, text := range in.want {
				if !strings.Contains(last, text) {
					t.Errorf("the error is %q, want %q in it", last, text)
				}
			}
			if code != want {
				t.Errorf("exit %d, want %d: %s", code, want, stderr)
			}
		})
	}
}

// TestFiles runs each file as a job of its own.
func TestFiles(t *testing.T) {
	t.Parallel()
	for name, in := range files() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in.check(t).verify(t)
		})
	}
}

// TestArrayOfLines: every line of the corpus as an element of one array on one line, between
// good elements, except lines that would affect their neighbours.
func TestArrayOfLines(t *testing.T) {
	t.Parallel()
	var objects []object
	text := "["
	add := func(l line) {
		o := object{text: strings.ReplaceAll(strings.Trim(l.text, " \t"), "\r", " "), dead: l.dead}
		if l.dead != "" { // if a value ends early, the error is about a missing comma
			o.dead, o.at = "of the ", fmt.Sprintf("line 1, byte %d", len(text))
		}
		text += l.text + ","
		objects = append(objects, o)
	}
	for i, l := range corpus() {
		if l.dead != "" && !keepsToItself(l.text) {
			continue
		}
		add(line{text: fmt.Sprintf(`{"good":%d}`, i)})
		add(l)
	}
	text += `"last"]`
	objects = append(objects, object{text: `"last"`})
	if len(objects) < 200 {
		t.Errorf("only %d elements", len(objects))
	}
	in := input{text: text, objects: objects}
	in.check(t).verify(t)
}

// keepsToItself reports whether a bad element surely does not affect its neighbours: its
// brackets and quotes are closed, with no comma outside of them. It recognizes only the
// plain cases.
func keepsToItself(text string) bool {
	return !strings.ContainsAny(text, "{}[],\"") || strings.Count(text, `"`) == 2 && !strings.ContainsAny(text, `{}[],\`)
}
