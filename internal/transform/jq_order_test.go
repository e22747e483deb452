package transform

import (
	"strings"
	"testing"
)

// TestJQKeyOrder holds every way in which a program meets the keys of an
// object against the one rule of docs/jq.md: an object iterates and prints in
// the order of its keys, whatever the order in the input or in the program.
func TestJQKeyOrder(t *testing.T) {
	t.Parallel()
	objects := []string{
		`{"b":2,"a":{"d":4,"c":3},"é":5,"B":1,"😀":6}`,
		`{"😀":6,"é":5,"B":1,"a":{"c":3,"d":4},"b":2}`,
	}
	const sorted = `{"B":1,"a":{"c":3,"d":4},"b":2,"é":5,"😀":6}` // by code points
	quoted := strings.ReplaceAll(sorted, `"`, `\"`)
	for _, c := range []struct{ program, want string }{
		// what is printed
		{`.`, sorted},
		{`{x: 1, b, a}`, `{"a":{"c":3,"d":4},"b":2,"x":1}`},
		{`. + {Z: 0}`, `{"B":1,"Z":0,"a":{"c":3,"d":4},"b":2,"é":5,"😀":6}`},
		{`. * {a: {b: 0}}`, `{"B":1,"a":{"b":0,"c":3,"d":4},"b":2,"é":5,"😀":6}`},
		{`.a.b = 0 | .a`, `{"b":0,"c":3,"d":4}`},
		{`.a | .d |= . + 1`, `{"c":3,"d":5}`},
		{`setpath(["a", "b"]; 0) | .a`, `{"b":0,"c":3,"d":4}`},
		{`del(.a, .b)`, `{"B":1,"é":5,"😀":6}`},
		{`tojson`, `"` + quoted + `"`},
		{`tostring`, `"` + quoted + `"`},
		{`"\(.)"`, `"` + quoted + `"`},
		{`@json`, `"` + quoted + `"`},
		{`@text`, `"` + quoted + `"`},
		{`.a | @html`, `"{&quot;c&quot;:3,&quot;d&quot;:4}"`},
		{`.a | @uri`, `"%7B%22c%22%3A3%2C%22d%22%3A4%7D"`},
		{`.a | @base64`, `"eyJjIjozLCJkIjo0fQ=="`},
		{`try error(.a) catch tojson`, `"{\"c\":3,\"d\":4}"`},
		{`"{\"b\":1,\"a\":2}" | fromjson`, `{"a":2,"b":1}`},
		// what a program sees
		{`[.[]] | del(.[1]) | @csv`, `"1,2,5,6"`},
		{`[.[] | numbers] | @tsv`, `"1\t2\t5\t6"`},
		{`[.[]?]`, `[1,{"c":3,"d":4},2,5,6]`},
		{`keys`, `["B","a","b","é","😀"]`},
		{`to_entries | map(.key)`, `["B","a","b","é","😀"]`},
		{`.a | to_entries`, `[{"key":"c","value":3},{"key":"d","value":4}]`},
		{`.a | with_entries(.value |= tostring)`, `{"c":"3","d":"4"}`},
		{`to_entries | from_entries`, sorted},
		{`[first(.[])], [last(.[])], [nth(2; .[])], [limit(2; .[])]`, "[1]\n[6]\n[2]\n[1,{\"c\":3,\"d\":4}]"},
		{`map(numbers)`, `[1,2,5,6]`},
		{`.a | map_values(. + 1)`, `{"c":4,"d":5}`},
		{`map_values(tostring) | add`, `"1{\"c\":3,\"d\":4}256"`},
		{`map_values([.]) | add`, `[1,{"c":3,"d":4},2,5,6]`},
		{`map_values(tostring) | join(" ")`, `"1 {\"c\":3,\"d\":4} 2 5 6"`},
		{`flatten`, `[1,{"c":3,"d":4},2,5,6]`},
		{`[paths]`, `[["B"],["a"],["a","c"],["a","d"],["b"],["é"],["😀"]]`},
		{`[paths(type == "number")]`, `[["B"],["a","c"],["a","d"],["b"],["é"],["😀"]]`},
		{`[path(..)]`, `[[],["B"],["a"],["a","c"],["a","d"],["b"],["é"],["😀"]]`},
		{`[path(.[])]`, `[["B"],["a"],["b"],["é"],["😀"]]`},
		{`[..] | map(numbers)`, `[1,3,4,2,5,6]`},
		{`[recurse | numbers]`, `[1,3,4,2,5,6]`},
		{`[tostream] | map(.[0])`, `[["B"],["a","c"],["a","d"],["a","d"],["b"],["é"],["😀"],["😀"]]`},
		{`fromstream(tostream)`, sorted},
		{`walk(.)`, sorted},
		{`reduce .[] as $v ([]; . + [$v])`, `[1,{"c":3,"d":4},2,5,6]`},
		{`[foreach (.[] | numbers) as $v (0; . * 10 + $v)]`, `[1,12,125,1256]`},
		{`[label $out | .[] | if . == 2 then break $out else . end]`, `[1,{"c":3,"d":4}]`},
		{`[any(.[]; . == 1), all(.[] | numbers; . > 0)]`, `[true,true]`},
		{`"2020-B" | capture("(?<y>[0-9]+)-(?<b>B)")`, `{"b":"B","y":"2020"}`},
		{`"xy" | [match("x").captures, (match("x") | keys)]`, `[[],["captures","length","offset","string"]]`},
	} {
		tr := mustNewIn(t, `jq:`+c.program, true)
		for _, object := range objects {
			out := mustRun(t, tr, body(object), nil, Options{})
			if got := strings.TrimSuffix(string(out.Lines), "\n"); got != c.want || len(out.Failed) > 0 {
				t.Errorf("jq %s on %s:\n%s %v\nwant:\n%s", c.program, object, got, out.Failed, c.want)
			}
		}
	}
	// A function that would only break the rule does not exist.
	if _, err := Parse(`jq:keys_unsorted`); err == nil || !strings.Contains(err.Error(), "function not defined: keys_unsorted/0") {
		t.Errorf("keys_unsorted: %v", err)
	}
}
