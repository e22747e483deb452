package direct

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
)

var variables = map[string]string{"$t": `"a\"é"`, "$n": `1.10`, "$o": `{"a":{"b":[1,"x"]},"name":null}`, "$z": `null`}

const enough = 1 << 16

// compareWithGojq holds the output of a program for an object against gojq's. It reports
// whether the program was compiled and had an output.
func compareWithGojq(t *testing.T, program, object string) (compiled, mapped bool) {
	t.Helper()
	query, err := gojq.Parse(program)
	if err != nil {
		return false, false
	}
	var names []string
	var values []any
	texts := map[string][]byte{}
	for name, text := range variables {
		value, err := decode(text)
		if err != nil {
			t.Fatal(err)
		}
		names, values, texts[name] = append(names, name), append(values, value), []byte(text)
	}
	code, err := gojq.Compile(query, gojq.WithVariables(names))
	if err != nil {
		return false, false
	}
	p := Compile(query, texts)
	if p == nil {
		return false, false
	}
	for range 2 { // the second time with what the first has left behind
		out, ok := p.mapObject([]byte(object), []byte("before"), enough)
		if !ok {
			if string(out) != "before" {
				t.Errorf("%s on %s: %q without an output", program, object, out)
			}
			return true, false
		}
		want, err := referee(code, object, values)
		if got := strings.TrimPrefix(string(out), "before"); err != nil || got != want {
			t.Errorf("%s on %s:\n%q\ngojq:\n%q %v", program, object, got, want, err)
		}
	}
	return true, true
}

func decode(text string) (value any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err = d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

func referee(code *gojq.Code, object string, values []any) (string, error) {
	value, err := decode(object)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	for results := code.Run(value, values...); ; {
		result, ok := results.Next()
		if !ok {
			return out.String(), nil
		}
		if err, ok := result.(error); ok {
			return "", err
		}
		text, err := gojq.Marshal(result)
		if err != nil {
			return "", err
		}
		out.Write(append(text, '\n'))
	}
}

// objects are mapped by all programs of TestPrograms.
var objects = []string{
	`{"uuid":"u1","fn":"Ada","ln":"Lovelace","friends":["u2","u3"],"age":36,"x":{"b":{"c":[1,2.50,{"d":"e"}]},"a":null}}`,
	` { "fn" : "A\"d\\a\u00e9\ud83d\ude00\ud800\n\u007f" , "ln" : "" , "age" : 1e3 , "friends" : [ ] , "x" : { } } `,
	`{"fn":null,"age":9007199254740993,"friends":[{"z":1,"a":2,"z":3},[],"\u0000é"],"x":[{"b":1}]}`,
	`{"fn":"a","fn":"b","x":{"b":1},"x":{"a":2},"f\u006e":"c","age":-0}`, `{"age":1e400,"fn":[],"friends":null}`, `{"age":123456789012345678901234567890,"fn":"z"}`,
	`{}`, `null`, `"text"`, `[{"fn":"x"},[1,[2]],null]`, `1.10`, `true`, `[]`, `{"a":`, `1 2`, ``, " ", `{"fn":1,}`, "{\"fn\":\"\xff\"}", `{"fn":"x"}x`, `[1,]`, `{"age":01}`,
	strings.Repeat("[", 300) + strings.Repeat("]", 300), `{"friends":` + strings.Repeat(`{"b":1,"a":`, 150) + "1" + strings.Repeat("}", 151),
}

// TestPrograms: programs of the forms that are compiled give what gojq gives, on
// objects that suit them and on others.
func TestPrograms(t *testing.T) {
	t.Parallel()
	for _, program := range []string{
		`.`, `.fn`, `."fn"`, `.["fn"]`, `.x.b.c[2].d`, `.friends[0]`, `.[1]`, `.x["b"].c`, `{}`, `[]`, `{fn, ln}`, `{id: .uuid, name: (.fn + " " + .ln)}`,
		`{b: 1, a: 2, b: .fn}`, `{"a b": .fn, "é\n": 1.50}`, `{x: {y: [.age, {z: .x}]}}`, `"\(.fn) is \(.age), \(.x), \(.friends | length)"`, `"\(.)"`,
		`select(.age > 18)`, `select(.age == 36 and .fn != "x" or .ln) | .fn`, `select(.fn < "b") | {fn}`, `.fn, .ln`, `(.fn, .x) | [., 1]`, `.fn | empty`,
		`if .age >= 18 then "adult" elif .age then .age else {a: 1} end`, `{a: (if .fn then .fn else "none" end)}`, `.fn // .ln // "none"`, `.missing // {a: 1}`,
		`.age + 1, .age * 2, .age - 0.5, .age / 3`, `.age / 0`, `null + .age`, `.age + null`, `1 + null + .age`, `.fn + null`, `null + null`, `.friends + null`, `-1, -1.50, 1.0, 1e2`,
		`.friends[]`, `[.friends[] | length]`, `.friends | map({id: .})`, `.x[]`, `.[] | .b?`, `[.[] | select(. != null)]`, `[.friends[] | if . then [.] else . end]`, `map(.)`, `.x | map(. + 1)`,
		`.fn | ascii_upcase`, `.fn | ascii_downcase | ascii_upcase | length`, `.fn | startswith("A")`, `.fn | endswith("\n") | not`, `.fn | contains("d")`, `.fn | ltrimstr("A") | rtrimstr("a")`,
		`.age | tostring`, `.x | tostring`, `.fn | tostring`, `[.age, .fn | type]`, `"12.50" | tonumber`, `[(.fn, .age | tonumber)]`, `.x | length`,
		`$t`, `{$t, $n, o: $o.a.b[1]}`, `$o.name`, `$n + 1`, `.fn + $t`, `$z`, `$o`, `[$o.a[] | length]`, `select(.fn == $t)`,
		`{a: .fn} | .a`, `{a: .x.b} | {c: .a.c}`, `(.fn + "x") | {a: ., b: length}`, `.fn as $f | {f: $f}`, `select(.age > 40) | to_entries`, `if .fn then keys else . end`,
		`[.fn, .ln] == ["a"]`, `.friends == null`, `.x < .friends`, `. == 1`, `[1, 2] | .[0]`, `[limit(1; .friends[])]`, `.a.b.c`, `. | . | .`, `(.fn | .x) // 1`, `.fn[0]`, `.age.x | 1`,
		`select((.fn or .ln) | true)`, `select(if .fn then true else false end | $n)`, `[(.fn, $n) | 1]`,
		`def f: .fn; f`, `.x | def f: 1; f`, `..`, `.fn[1:]`, `.[-1]`, `@csv "\(.friends)"`, `@base64`, `{(.fn): 1}`, `{"\(.fn)": 1}`, `reduce .friends[] as $x (0; 1)`,
	} {
		for _, object := range objects {
			compareWithGojq(t, program, object)
		}
	}
}

// TestCompiles: the programs for which this package is made are compiled and give
// an output themselves.
func TestCompiles(t *testing.T) {
	t.Parallel()
	for _, program := range []string{
		`.`, `.fn`, `{fn, ln}`, `{id: .uuid, name: (.fn + " " + .ln)}`, `select(.age > 18)`, `select(.age > 18) | {fn}`, `select(.age > 40) | to_entries`, `.friends[0]`, `.friends[]`,
		`"\(.fn) \(.age)"`, `[.friends[] | {id: .}]`, `.friends | map(.) | length`, `if .age > 18 then .fn else .ln end`, `.x.b.c[2].d, .ln`, `{at: [(.age, .age | tostring)]}`, `$o.a.b`,
	} {
		if compiled, mapped := compareWithGojq(t, program, objects[0]); !compiled || !mapped {
			t.Errorf("%s: compiled %v, mapped %v", program, compiled, mapped)
		}
	}
	for _, program := range []string{`to_entries`, `def f: .; f`, `.a as $x | $x`, `reduce .[] as $x (0; 1)`, `.a?`, `. + 1 | sort`, `(.,.) | (.,.) | (.,.) | (.,.) | (.,.) | (.,.) | (.,.) | (.,.) | (.,.) | (.,.)`} {
		if compiled, _ := compareWithGojq(t, program, objects[0]); compiled {
			t.Errorf("%s is compiled", program)
		}
	}
}

// TestLimit: an output of limit bytes, its line break included, is given, and a
// longer one is not.
func TestLimit(t *testing.T) {
	t.Parallel()
	query, err := gojq.Parse(`., "\(.)", [.]`)
	if err != nil {
		t.Fatal(err)
	}
	p, object := Compile(query, nil), []byte(`"\u0001é"`)
	const want = "\"\\u0001é\"\n\"\\u0001é\"\n[\"\\u0001é\"]\n"
	if out, ok := p.Map(object, nil, len(want)); !ok || string(out) != want {
		t.Errorf("%q, %v", out, ok)
	}
	if out, ok := p.Map(object, nil, len(want)-1); ok || len(out) > 0 {
		t.Errorf("%q, %v with one byte less", out, ok)
	}
}

// FuzzDirect holds programs of a small grammar against gojq.
func FuzzDirect(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, objects[int(seed)%len(objects)])
	}
	f.Fuzz(func(t *testing.T, seed uint64, object string) {
		g := &generator{rand.New(rand.NewPCG(seed, 0))}
		program := g.query(3)
		compareWithGojq(t, program, object)
		compareWithGojq(t, program, g.value(4))
	})
}

// TestRandom is FuzzDirect for so many seeds that most forms meet most values.
func TestRandom(t *testing.T) {
	t.Parallel()
	compiled, mapped := 0, 0
	const n = 3000
	for seed := range uint64(n) {
		g := &generator{rand.New(rand.NewPCG(seed, 1))}
		c, m := compareWithGojq(t, g.query(3), g.value(4))
		compiled += count(c)
		mapped += count(m)
	}
	t.Logf("%d programs of %d compiled, %d mapped", compiled, n, mapped)
	if compiled < n/2 || mapped < n/5 {
		t.Errorf("%d programs of %d compiled, %d mapped", compiled, n, mapped)
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A generator makes random programs and objects.
type generator struct{ *rand.Rand }

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) query(depth int) string {
	if depth == 0 {
		return g.pick(`.`, `.a`, `.b`, `.a.b`, `.["a"]`, `."é"`, `.[0]`, `.a[1]`, `1`, `-2`, `1.50`, `1e3`, `"x"`, `"a\"é\n"`, `null`, `true`, `false`, `[]`, `{}`, `{a}`, `$t`, `$n`, `$o.a`, `empty`, `.a[]`, `.[]`)
	}
	sub := func() string { return g.query(g.IntN(depth)) }
	switch g.IntN(14) {
	case 0:
		return fmt.Sprintf(`%s | %s`, sub(), sub())
	case 1:
		return fmt.Sprintf(`(%s, %s)`, sub(), sub())
	case 2:
		return fmt.Sprintf(`{%s: (%s), %s: (%s), b}`, g.pick(`a`, `b`, `"é"`, `"\n"`), sub(), g.pick(`a`, `c`), sub())
	case 3:
		return fmt.Sprintf(`[%s]`, sub())
	case 4:
		return fmt.Sprintf(`"x\(%s)\(%s)é"`, sub(), sub())
	case 5:
		return fmt.Sprintf(`select(%s)`, sub())
	case 6, 7:
		return fmt.Sprintf(`((%s) %s (%s))`, sub(), g.pick(`==`, `!=`, `<`, `<=`, `>`, `>=`), sub())
	case 8, 9:
		return fmt.Sprintf(`((%s) %s (%s) + (%s))`, sub(), g.pick(`+`, `+`, `-`, `*`, `/`, `//`, `and`, `or`), sub(), sub())
	case 10:
		return fmt.Sprintf(`if %s then %s else %s end`, sub(), sub(), sub())
	case 11:
		return fmt.Sprintf(`(%s | %s)`, sub(), g.pick(`not`, `length`, `type`, `tostring`, `tonumber`, `ascii_downcase`, `ascii_upcase`, `startswith("x")`, `endswith(.)`, `contains("é")`, `ltrimstr("x")`, `rtrimstr("x")`))
	case 12:
		return fmt.Sprintf(`map(%s)`, sub())
	}
	return fmt.Sprintf(`(%s)%s`, sub(), g.pick(`.a`, `[0]`, `[]`, `."b"`, `?`))
}

func (g *generator) value(depth int) string {
	blank := g.pick("", "", "", " ", "\t ")
	if depth > 0 {
		n := g.IntN(4)
		var parts []string
		switch g.IntN(4) {
		case 0, 1:
			for range n {
				parts = append(parts, blank+g.pick(`"a"`, `"b"`, `"c"`, `"é"`, `"\u00e9"`, `"\n"`, `"\u0061"`, `""`)+blank+":"+blank+g.value(g.IntN(depth))+blank)
			}
			return "{" + blank + strings.Join(parts, ",") + "}"
		case 2:
			for range n {
				parts = append(parts, blank+g.value(g.IntN(depth))+blank)
			}
			return "[" + blank + strings.Join(parts, ",") + "]"
		}
	}
	return g.pick(`null`, `true`, `false`, `0`, `-0`, `1`, `-7`, `1.10`, `-0.0`, `1e3`, `1E-7`, `12345678.9e15`, `9007199254740993`, `9223372036854775807`, `-9223372036854775808`, `123456789012345678901`, `1e400`,
		`""`, `"x"`, `"é"`, `"xa\"\\\/\b\f\n\r\t"`, `"\u0000\u001f\u007f\u2028"`, "\"\x7f\"", `"\ud83d\ude00"`, `"\ud83dx\udc00\ud800\ud800"`, `"1.50"`, `"-12"`, `"long text with é and more than eight bytes"`)
}
