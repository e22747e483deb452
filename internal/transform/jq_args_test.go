package transform

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// Values are part of the setting: what JQSpec makes is what Parse reads, and
// String gives it back whole.
func TestJQArgs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		program string
		args    []JQArg
		want    string
	}{
		{`$a`, []JQArg{{Name: "a", Value: "x"}}, `"x"`},
		{`$a`, []JQArg{{Name: "a", Value: ""}}, `""`},
		{`$a`, []JQArg{{Name: "a", Value: `1`}}, `"1"`},
		{`$a + 1`, []JQArg{{Name: "a", Value: `1`, JSON: true}}, `2`},
		{`$a`, []JQArg{{Name: "a", Value: `{"b": [1, {"c": null}]}`, JSON: true}}, `{"b":[1,{"c":null}]}`},
		{`$a`, []JQArg{{Name: "a", Value: `9007199254740993`, JSON: true}}, `9007199254740993`},
		{`$a`, []JQArg{{Name: "a", Value: "a:b?c&d=e%41 +;\n\"é😀"}}, `"a:b?c&d=e%41 +;\n\"é😀"`},
		{`[$b, $a, .]`, []JQArg{{Name: "b", Value: "2"}, {Name: "a", Value: "1", JSON: true}}, `["2",1,0]`},
		{`$ARGS`, nil, `{"named":{},"positional":[]}`},
		{`$ARGS.named`, []JQArg{{Name: "b", Value: "2"}, {Name: "a", Value: "1", JSON: true}}, `{"a":1,"b":"2"}`},
		{`"?a:b" + $a`, []JQArg{{Name: "a", Value: "x"}}, `"?a:bx"`},
		{`def f($a): $a; f(1), $a`, []JQArg{{Name: "a", Value: "x"}}, "1\n\"x\""},
		{`$ENV`, []JQArg{{Name: "ENV", Value: "mine"}}, `"mine"`},
	} {
		text, err := JQSpec(c.program, c.args)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := Parse(text)
		if err != nil || spec.String() != text {
			t.Errorf("Parse(%q): %q, %v", text, spec, err)
			continue
		}
		out := mustRun(t, mustNew(t, spec.String()), body(`0`), nil, Options{})
		if got := strings.TrimSuffix(string(out.Lines), "\n"); got != c.want || len(out.Failed) > 0 {
			t.Errorf("%s: %s %v, want %s", text, got, out.Failed, c.want)
		}
	}
	// The order in which they are given is no part of the setting, the values are.
	one, _ := JQSpec(".", []JQArg{{Name: "a", Value: "1"}, {Name: "b", Value: "2", JSON: true}})
	other, _ := JQSpec(".", []JQArg{{Name: "b", Value: "2", JSON: true}, {Name: "a", Value: "1"}})
	third, _ := JQSpec(".", []JQArg{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}})
	if one != other || one == third || one != "jq?arg.a=1&argjson.b=2:." {
		t.Errorf("settings %q, %q, %q", one, other, third)
	}
}

func TestJQArgsRefused(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		`jq?arg.a=1`:                   `the program is missing`,
		`jq?a=1:.`:                     `jq has no option "a"; use jq?memory=1GiB&arg.NAME=TEXT`,
		`jq?arg.a=%zz:.`:               `use jq?memory=1GiB&arg.NAME=TEXT`,
		`jq?argjson.a={"b":1}:.`:       `read JSON value of $a`,
		`jq?argjson.a=1 2:.`:           `read JSON value of $a: more than one value`,
		`jq?argjson.a=:.`:              `read JSON value of $a`,
		`jq?arg.a=1&arg.a=2:.`:         `the value $a is given twice`,
		`jq?arg.a=1&argjson.a=2:.`:     `the value $a is given twice`,
		`jq?arg.1=2:.`:                 `"1" is not a valid name`,
		`jq?arg.=2:.`:                  `"" is not a valid name`,
		`jq?arg.a-b=2:.`:               `"a-b" is not a valid name`,
		`jq?arg.%24a=2:.`:              `"$a" is not a valid name`,
		`jq?arg.ARGS=2:.`:              `$ARGS is reserved by jq`,
		`jq:$a`:                        `variable not defined: $a; give it with --arg`,
		`jq?arg.a=1:$b`:                `variable not defined: $b; give it with --arg`,
		`jq?memory=1G:.`:               `memory "1G" is not an amount of memory; use 16MiB to 64GiB, for example memory=1GiB`,
		`jq?memory=:.`:                 `memory "" is not an amount of memory`,
		`jq?memory=1:.`:                `memory "1" is not an amount of memory`,
		`jq?memory=15MiB:.`:            `memory "15MiB" is not an amount of memory`,
		`jq?memory=65GiB:.`:            `memory "65GiB" is not an amount of memory`,
		`jq?memory=-1GiB:.`:            `memory "-1GiB" is not an amount of memory`,
		`jq?memory=1GiB&memory=2GiB:.`: `memory "1GiB, 2GiB" is not an amount of memory`,
		`jqx:.`:                        `unknown kind "jqx"`,
	} {
		if _, err := Parse(spec); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v, want %q", spec, err, want)
		}
	}
	for spec, want := range map[string]int64{"jq:.": 256 << 20, "jq?memory=16MiB:.": 16 << 20, "jq?arg.a=1&memory=64GiB:.": 64 << 30, "jq?memory=1025MiB:.": 1025 << 20} {
		if want > math.MaxInt { // a system with 32 bits
			continue
		}
		if j := mustNew(t, spec).(*jqProcess); int64(j.hello.Memory) != want {
			t.Errorf("%s: %d bytes of memory, want %d", spec, j.hello.Memory, want)
		}
	}
	if _, err := JQSpec(".", []JQArg{{Name: "a"}, {Name: "a", JSON: true}}); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), "$a is given twice") {
		t.Errorf("JQSpec: %v", err)
	}
}
