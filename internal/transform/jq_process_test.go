package transform

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// greedy are programs that take all memory or all stack, each in another way:
// step by step, in one step, as a value, as a recursion of the program, and as
// one of the library.
var greedy = map[string]string{
	`[range(2000000000)] | length`:                          "16 MiB of memory",
	`def f: [f]; f`:                                         "16 MiB of memory",
	`def f: 1 + f; f`:                                       "16 MiB of memory",
	`reduce range(5000000) as $i (1; [.])`:                  "16 MiB of memory",
	`reduce range(5000000) as $i (1; {a: .})`:               "16 MiB of memory",
	`reduce range(60) as $i (1; [., .]) | tojson | length`:  "16 MiB of memory",
	`reduce range(60) as $i (1; [., .]) | "\(.)" | length`:  "16 MiB of memory",
	`reduce range(60) as $i (1; [., .]) | flatten | length`: "16 MiB of memory",
	`"x" * 2000000000 | length`:                             "16 MiB of memory",
	`reduce range(30) as $i ("x"; . + .) | ascii_upcase`:    "16 MiB of memory",
	`null | .[500000000] = 1 | length`:                      "16 MiB of memory",
	`[limit(1000000000; repeat("x"))] | length`:             "16 MiB of memory",
	`[recurse([., .])] | length`:                            "16 MiB of memory",
	`error("x" * 2000000000)`:                               "16 MiB of memory",
	`"x" * 1000000000 | test("(x+x+)+y")`:                   "16 MiB of memory",
}

// TestJQBudget: an object for which the program exceeds its budget is a dead
// letter that names the budget; its neighbours, before and behind it and on
// their way with it, are mapped.
func TestJQBudget(t *testing.T) {
	t.Parallel()
	for program, want := range greedy {
		if memoryFactor > 1 && strings.Contains(program, "(5000000)") {
			continue // it takes minutes under the race detector; without it all are tried
		}
		t.Run(program, func(t *testing.T) {
			tr := mustNew(t, `jq?memory=16MiB:if . == "bad" then (`+program+`) else . end`)
			out := mustRun(t, tr, body(`1`, `2`, `"bad"`, `3`, `4`), nil, Options{})
			wantLines(t, out, `1`, `2`, `3`, `4`)
			wantFailed(t, out, 2, want)
			wantLines(t, mustRun(t, tr, body(`5`), nil, Options{}), `5`)
		})
	}
}

// A stack that overflows would end the process as memory does, in the library's
// own recursion over a deep value.
func TestJQStack(t *testing.T) {
	t.Parallel()
	for _, use := range []string{`tojson | length`, `[.] == [.]`, `flatten | length`, `"\(.)" | length`} {
		t.Run(use, func(t *testing.T) {
			t.Parallel()
			tr := mustNew(t, `jq:if . == "bad" then reduce range(100000) as $i (1; [.]) | `+use+` else . end`).(*jqProcess)
			if tr.hello.Stack != jqStack {
				t.Errorf("%d bytes of stack, want %d", tr.hello.Stack, jqStack)
			}
			tr.hello.Stack = 4 << 20
			out := mustRun(t, tr, body(`1`, `"bad"`, `2`), nil, Options{})
			wantLines(t, out, `1`, `2`)
			wantFailed(t, out, 1, "4 MiB of stack for this object, which is its budget")
		})
	}
}

// TestJQGoesOn: each of many objects that end the process in one chunk is
// found, no other is blamed, and a process is started only where one has ended.
func TestJQGoesOn(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, `jq?memory=16MiB:if . % 100 == 57 then "x" * 100000000 else . * 2 end`).(*jqProcess)
	const n = 300
	var objects, want []string
	var dead []any
	for i := range n {
		objects = append(objects, fmt.Sprint(i))
		if i%100 == 57 {
			dead = append(dead, i, "16 MiB of memory")
		} else {
			want = append(want, fmt.Sprint(2*i))
		}
	}
	out := mustRun(t, tr, body(objects...), nil, Options{})
	wantLines(t, out, want...)
	wantFailed(t, out, dead...)
	// The first; and for each object one after it ended one that had others on their way, one after it ended one that
	// had seen others, and one after it ended one that it had to itself.
	if most := 1 + 3*len(dead)/2; tr.starts > most {
		t.Errorf("%d processes started, want at most %d", tr.starts, most)
	}
	before := tr.starts
	mustRun(t, tr, body(objects[:57]...), nil, Options{})
	if tr.starts != before {
		t.Errorf("%d processes started for a chunk that ends none", tr.starts-before)
	}
}

// In careful mode an object is announced before a process has it.
func TestJQCareful(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, `jq?memory=16MiB:if . == 2 then "x" * 1000000000 else . end`).(*jqProcess)
	var announced []int
	out := mustRun(t, tr, body(`0`, `1`, `2`, `3`, `4`), []chunk.Flaw{{Index: 1, Reason: "no"}}, Options{Before: func(index int) error {
		if tr.unanswered > 0 {
			t.Errorf("object %d is announced while %d are on their way", index, tr.unanswered)
		}
		announced = append(announced, index)
		return nil
	}})
	wantLines(t, out, `0`, `3`, `4`)
	wantFailed(t, out, 1, "no", 2, "16 MiB of memory")
	if fmt.Sprint(announced) != "[0 2 3 4]" {
		t.Errorf("announced: %v", announced)
	}
}

// A process that something else ends, as the kernel does when memory is short,
// costs no object; one that is ended again and again is not gone on with for
// ever.
func TestJQKilled(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, `jq:def same: .; same`).(*jqProcess)
	kill := func(int) error { return syscall.Kill(tr.child.cmd.Process.Pid, syscall.SIGKILL) }
	wantLines(t, mustRun(t, tr, body(`1`, `2`), nil, Options{}), `1`, `2`)
	if err := kill(0); err != nil {
		t.Fatal(err)
	}
	<-tr.child.dead
	wantLines(t, mustRun(t, tr, body(`3`, `4`), nil, Options{}), `3`, `4`)
	wantLines(t, mustRun(t, tr, body(`5`, `6`, `7`), nil, Options{Before: kill}), `5`, `6`, `7`)

	out := mustRun(t, alwaysKilled{tr}, body(`8`), nil, Options{})
	wantFailed(t, out, 0, "failed again in a new process: the jq process ended (signal: killed)")
}

// alwaysKilled kills the process before each object.
type alwaysKilled struct{ *jqProcess }

func (k alwaysKilled) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	k.queue = nil
	if err := k.ready(ctx, 0); err != nil {
		return dst, err
	}
	if err := syscall.Kill(k.child.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		return dst, err
	}
	<-k.child.dead
	return k.jqProcess.Map(ctx, object, dst)
}

// impatient gives Map a short timeout for one object, also when it is on its
// way with others.
type impatient struct {
	*jqProcess
	slow string
}

func (i impatient) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	return wide{i.jqProcess, i.slow}.Map(ctx, object, dst)
}

// A step of a program that does not end is ended, too; so is a program of many
// steps, each of which copies what it has so far.
func TestJQEndlessStep(t *testing.T) {
	t.Parallel()
	for _, program := range []string{
		`reduce range(60) as $i (1; [., .]) | . == .`, `last(repeat(1))`,
		`reduce range(100000000) as $i ({}; .["k\($i % 30000)"] = $i) | length`,
	} {
		tr := mustNew(t, `jq:if . == "slow" then (`+program+`) else . end`).(*jqProcess)
		out := mustRun(t, impatient{tr, "slow"}, body(`1`, `"slow"`, `2`, `3`), nil, Options{})
		wantLines(t, out, `1`, `2`, `3`)
		wantFailed(t, out, 1, errTestTime.Error())
	}
}

// TestJQLargeObject: a large object has a larger budget, which is no other
// object's.
func TestJQLargeObject(t *testing.T) {
	t.Parallel()
	large := "[" + strings.Repeat("0,", 1<<19) + "0]"
	tr := mustNew(t, `jq?memory=16MiB:if . == "bad" then [range(50000000)] else . end | length`).(*jqProcess)
	out := mustRun(t, tr, body(`[1]`, large, `[1,2]`, large, `"bad"`, `[]`), nil, Options{})
	wantLines(t, out, `1`, fmt.Sprint(1<<19+1), `2`, fmt.Sprint(1<<19+1), `0`)
	wantFailed(t, out, 4, "16 MiB of memory")
}

// Objects and outputs that no pipe holds pass, in any order of sizes.
func TestJQLargeChunk(t *testing.T) {
	t.Parallel()
	var objects, want []string
	for i := range 100 {
		text := fmt.Sprintf(`"%d%s"`, i, strings.Repeat("x", i*i*8%70_000))
		objects, want = append(objects, text), append(want, text, text, text)
	}
	tr := mustNew(t, `jq:def same: .; same, same, same`)
	wantLines(t, mustRun(t, tr, body(objects...), nil, Options{Timeout: time.Hour}), want...)
}

// The end of the context ends Run and the process, with objects on their way;
// the next chunk is mapped in another one.
func TestJQCancelled(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, `jq:if . == "endless" then last(repeat(1)) else (def same: .; same) end`).(*jqProcess)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, tr, body(`1`, `2`, `"endless"`, `3`), nil, Options{After: func(index int, _ *Failure) {
		if index == 1 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || tr.child != nil {
		t.Errorf("Run: %v, process %v; want the end of its context and none", err, tr.child)
	}
	wantLines(t, mustRun(t, tr, body(`5`, `6`), nil, Options{}), `5`, `6`)
}

// A setting for which a process cannot start breaks the transform and fails no object.
func TestJQCannotStart(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{":{": "not a jq program", "?x=1:.": "jq has no option"} {
		j := newJQProcess(setting, jqMemory, nil)
		if _, err := Run(t.Context(), j, body(`1`), nil, Options{}); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ErrBroken with %q", setting, err, want)
		}
	}
}

// Constants of a program belong to one worker: the library writes into them.
func TestJQConstants(t *testing.T) {
	t.Parallel()
	spec, err := Parse(`jq:{"a":{"b":1,"c":2,"d":{"e":3}},"f":4} | del(.f), del(.a.d)`)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat(`{"a":{"b":1,"c":2,"d":{"e":3}}}`+"\n"+`{"a":{"b":1,"c":2},"f":4}`+"\n", 500)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			tr, err := spec.New()
			if err == nil {
				defer tr.Close()
				var out Output
				if out, err = Run(t.Context(), tr, []byte(strings.Repeat("1\n", 500)), nil, Options{}); err == nil && string(out.Lines) != want {
					err = fmt.Errorf("outputs %.200q", out.Lines)
				}
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
