package transform

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestJQManyKeys: the ways to make an object of many keys that docs/jq.md
// recommends give what the slow one gives, and take memory in proportion to the
// keys: four times the keys take no more than six times the memory. What copies
// the object at each step takes sixteen times as much.
func TestJQManyKeys(t *testing.T) { // not parallel: it counts what is allocated
	const slow = `reduce .[] as $x ({}; .[$x.k] = $x)`
	for _, program := range []string{
		`INDEX(.k)`, `INDEX(.[]; .k)`, `[.[] | {(.k): .}] | add // {}`, `map({key: .k, value: .}) | from_entries`, `group_by(.k) | map({(.[0].k): .[0]}) | add // {}`,
		`[.[] | {(.k): .}] | add // {} | with_entries(.value |= .)`, `[.[] | {(.k): .}] | add // {} | .[] |= .`, `[.[] | {(.k): .}] | add // {} | del(.[] | select(. == 1))`,
		slow, `[.[] | {(.k): .}] | add // {} | fromstream(tostream)`, `[.[] | {(.k): .}] | add // {} | if . == {} then . else pick(.[]) end`,
	} {
		var took [2]uint64
		for i, n := range []int{250, 1000} {
			var keys []string
			for k := range n {
				keys = append(keys, fmt.Sprintf(`{"k":"k%d"}`, k))
			}
			object := "[" + strings.Join(keys, ",") + "]"
			same := mustRun(t, mustNewIn(t, `jq:(`+program+`) == (`+slow+`)`, true), body(object, `[]`), nil, Options{})
			if got := string(same.Lines); got != "true\ntrue\n" || len(same.Failed) > 0 {
				t.Errorf("%s gives another object: %s %v", program, same.Lines, same.Failed)
			}
			tr := mustNewIn(t, "jq:"+program+" | length", true)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			wantLines(t, mustRun(t, tr, body(object), nil, Options{}), fmt.Sprint(n))
			runtime.ReadMemStats(&after)
			took[i] = after.TotalAlloc - before.TotalAlloc
		}
		quadratic := program == slow || strings.Contains(program, "fromstream") || strings.Contains(program, "pick")
		if took[1] > 6*took[0] != quadratic {
			t.Errorf("%s: %d bytes for 250 keys, %d for 1000; mend docs/jq.md if the library has got better", program, took[0], took[1])
		}
	}
	wantLines(t, mustRun(t, mustNew(t, `jq:INDEX(.k), INDEX(.[]; .k), INDEX(empty; .)`), body(`[]`, `[{"k":1},{"k":"1","n":null},{"k":[2]}]`), nil, Options{}),
		`{}`, `{}`, `{}`, `{"1":{"k":"1","n":null},"[2]":{"k":[2]}}`, `{"1":{"k":"1","n":null},"[2]":{"k":[2]}}`, `{}`)
	wantLines(t, mustRun(t, mustNew(t, `jq:def INDEX(f): "mine"; INDEX(.)`), body(`[]`), nil, Options{}), `"mine"`)
}
