package transform

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// TestJQDirect: a simple program starts no process until there is an object that it
// cannot map directly. That object and the rest of its chunk go to a process, in
// order; the next chunk is mapped directly again.
func TestJQDirect(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, `jq:{n: .n, deep: .a.b}`).(*jqProcess)
	run := func(starts int, dead []any, want []string, objects ...string) {
		t.Helper()
		out := mustRun(t, tr, body(objects...), []chunk.Flaw{{Index: 1, Reason: "no"}}, Options{Timeout: time.Hour})
		wantLines(t, out, want...)
		wantFailed(t, out, append([]any{1, "no"}, dead...)...)
		if tr.starts != starts {
			t.Errorf("%d processes started, want %d", tr.starts, starts)
		}
	}
	run(0, nil, []string{`{"deep":null,"n":1}`, `{"deep":2,"n":3}`}, `{"n":1}`, `{}`, `{"n":3,"a":{"b":2}}`)
	run(1, []any{3, "jq: expected an object but got: number (7)"}, []string{`{"deep":null,"n":1}`, `{"deep":null,"n":2}`, `{"deep":null,"n":4}`, `{"deep":null,"n":5}`},
		`{"n":1}`, `{}`, `{"n":2}`, `{"n":3,"a":7}`, `{"n":4}`, `{"n":5}`)
	pid := tr.child.cmd.Process.Pid
	run(1, nil, []string{`{"deep":null,"n":1}`, `{"deep":null,"n":2}`}, `{"n":1}`, `{}`, `{"n":2}`)
	if tr.gaveUp || tr.child.cmd.Process.Pid != pid {
		t.Errorf("gave up: %v, process %d instead of %d", tr.gaveUp, tr.child.cmd.Process.Pid, pid)
	}
}

// A program of which only some ways are simple needs a process only for the others.
func TestJQPartlyDirect(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, `jq:select(.n > 1) | to_entries`).(*jqProcess)
	wantLines(t, mustRun(t, tr, body(`{"n":1}`, `{"n":0}`), nil, Options{}))
	if tr.starts != 0 {
		t.Errorf("%d processes started", tr.starts)
	}
	wantLines(t, mustRun(t, tr, body(`{"n":1}`, `{"n":2}`), nil, Options{}), `[{"key":"n","value":2}]`)
}

// The limit of outputs is the same for both ways.
func TestJQDirectLimit(t *testing.T) {
	t.Parallel()
	for _, program := range []string{`., .`, `def same: .; same, same`} {
		tr := mustNew(t, "jq:"+program).(*jqProcess)
		for limit, fits := range map[int]bool{len("\"ab\"\n\"ab\""): true, len("\"ab\"\n\"ab\"") - 1: false} {
			tr.killChild()
			tr.hello.Limit = limit
			out := mustRun(t, tr, body(`"ab"`), nil, Options{})
			if fits {
				wantLines(t, out, `"ab"`, `"ab"`)
			} else {
				wantFailed(t, out, 0, fmt.Sprintf("larger than the limit of %d bytes", limit))
			}
		}
	}
}

// Values of a setting are the same for both ways.
func TestJQDirectArgs(t *testing.T) {
	t.Parallel()
	setting, err := JQSpec(`{$t, $j, l: $j.l[1], a: $ARGS.named.t, u: .u}`, []JQArg{{Name: "t", Value: "é\"\n"}, {Name: "j", Value: ` { "l" : [ 1e400 , 1.10 ] , "a" : 1 , "a" : 2 } `, JSON: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []string{`1`, `"` + strings.Repeat("x", 2<<20) + `"`} { // the second is too long for package direct
		tr := mustNew(t, setting)
		wantLines(t, mustRun(t, tr, body(`{"u":`+u+`}`), nil, Options{}), `{"a":"é\"\n","j":{"a":2,"l":[1e400,1.10]},"l":1.10,"t":"é\"\n","u":`+u+`}`)
	}
}

// TestJQAllocations: nothing is made for each object that a program maps directly,
// and no timer for each object whose answer has come from the process.
func TestJQAllocations(t *testing.T) { // not parallel: it counts allocations
	const objects = 100
	chunk := []byte(strings.Repeat(`{"name":"Vila","n":1,"tags":["a","b"]}`+"\n", objects))
	for program, most := range map[string]float64{
		`{name, n: (.n + 1)}`:           30,
		`select(.n < 2) | .tags[]`:      30,
		`def f: {name, n: (.n + 1)}; f`: objects,
		`def f: select(.n < 2) | .n; f`: objects,
		`"\(.name) \(.tags)" | . + "é"`: 30 + 2*objects, // the text of an array
	} {
		tr := mustNew(t, "jq:"+program)
		got := math.Inf(1)
		for range 100 { // on a busy machine an answer may not be there in time, but not each time
			if got = min(got, testing.AllocsPerRun(5, func() {
				if _, err := Run(t.Context(), tr, chunk, nil, Options{Timeout: time.Hour}); err != nil {
					t.Fatal(err)
				}
			})); got <= most {
				break
			}
		}
		if got > most {
			t.Errorf("%s: %v allocations for %d objects, want at most %v", program, got, objects, most)
		}
	}
}
