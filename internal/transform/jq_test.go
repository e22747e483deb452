package transform

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

func TestJQ(t *testing.T) {
	t.Parallel()
	const ada = `{"uuid":"u1","fn":"Ada","ln":"Lovelace","tags":["a","b"],"age":36}`
	for _, c := range []struct{ program, object, want string }{
		{`.`, ada, `{"age":36,"fn":"Ada","ln":"Lovelace","tags":["a","b"],"uuid":"u1"}`},
		{`{id: .uuid, name: (.fn + " " + .ln)}`, ada, `{"id":"u1","name":"Ada Lovelace"}`},
		{`.tags[]`, ada, "\"a\"\n\"b\""},
		{`select(.age > 40)`, ada, ""},
		{`select(.age < 40) | .fn`, ada, `"Ada"`},
		{`empty`, ada, ""},
		{`.missing`, ada, `null`},
		{`.tags | join("-")`, ada, `"a-b"`},
		{`to_entries | map(.key) | length`, ada, `5`},
		{`[.tags[] | ascii_upcase]`, ada, `["A","B"]`},
		{`.age / 5`, ada, `7.2`},
		{`try error("x") catch .`, ada, `"x"`},
		{`.fn | test("^A")`, ada, `true`},
		{`@csv "\(.tags)"`, ada, `"\"a\",\"b\""`},
		{`with_entries(select(.value | type == "string"))`, ada, `{"fn":"Ada","ln":"Lovelace","uuid":"u1"}`},
		{`. as [$a, $b] | $a + $b`, `[1,2]`, `3`},
		{`limit(3; repeat(1))`, `0`, "1\n1\n1"},
		{`.`, `"text"`, `"text"`},
		{`.`, `null`, `null`},
		{`length`, `[1,2,3]`, `3`},
		{`.`, ` { "a" : [ 1 , 2 ] } `, `{"a":[1,2]}`},
		// numbers
		{`.`, `9007199254740993`, `9007199254740993`},
		{`. + 1`, `9007199254740993`, `9007199254740994`},
		{`.`, `{"n":100000000000000000000000001}`, `{"n":100000000000000000000000001}`},
		{`.a`, `{"a":1e400}`, `1e400`},
		{`. * 1`, `1e400`, `1.7976931348623157e+308`},
		{`.`, `1.10`, `1.10`},
		{`. + 0.5`, `1.10`, `1.6`},
		// text
		{`.`, `"a\u007f<>&\u2028\té😀\/"`, "\"a\\u007f<>&\u2028\\té😀/\""},
		{`.`, `"\ud800"`, "\"\uFFFD\""},
		{`.a`, `{"a":1,"a":2}`, `2`},
	} {
		out := mustRun(t, mustNew(t, "jq:"+c.program), body(c.object), nil, Options{})
		if got := strings.TrimSuffix(string(out.Lines), "\n"); got != c.want || len(out.Failed) > 0 {
			t.Errorf("jq %s on %s:\n%s %v\nwant:\n%s", c.program, c.object, got, out.Failed, c.want)
		}
	}
}

func TestJQErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ program, object, want string }{
		{`.a.b`, `{"a":1}`, `jq: expected an object but got: number (1)`},
		{`.[]`, `1`, `cannot iterate over: number (1)`},
		{`error("no name")`, `1`, `jq: error: no name`},
		{`error({code: 7})`, `1`, `jq: error: {"code":7}`},
		{`1, 2, error("late")`, `1`, `late`},
		{`halt`, `1`, `called halt`},
		{`"bye" | halt_error`, `1`, `called halt on this object: halt error: bye`},
		{`1 / .`, `0`, `cannot divide number (1) by: number (0)`},
		{`reduce range(20000) as $i (1; [.])`, `1`, `nested deeper than 10000 levels`},
		{`reduce range(20000) as $i (1; {a: .})`, `1`, `nested deeper than 10000 levels`},
		{`reduce range(10000) as $i ([]; [.])`, `1`, `nested deeper than 10000 levels`}, // also if nothing is inside
		{`reduce range(10000) as $i ({}; {a: .})`, `1`, `nested deeper than 10000 levels`},
		{`.`, `{"a":`, `decode object: unexpected EOF`},
		{`.`, `1 2`, `decode object: more than one value`},
	} {
		out := mustRun(t, mustNewIn(t, "jq:"+c.program, true), body(c.object, `[]`), []chunk.Flaw{{Index: 1, Reason: "no"}}, Options{})
		wantLines(t, out)
		wantFailed(t, out, 0, c.want, 1, "no")
	}
}

func TestJQDeepEnough(t *testing.T) {
	t.Parallel()
	out := mustRun(t, mustNew(t, "jq:reduce range(9999) as $i (1; [.])"), body(`1`), nil, Options{})
	if len(out.Failed) > 0 || len(out.Lines) != 2*9999+2 {
		t.Errorf("%d bytes, %v", len(out.Lines), out.Failed)
	}
}

// A program that asks for the environment is refused: null without a word
// would be taken for a value that is not set.
func TestJQHasNoEnvironment(t *testing.T) {
	t.Setenv("CHUNKLINE_TEST_SECRET", "canary")
	for _, program := range []string{
		`$ENV`, `env`, `$ENV.CHUNKLINE_TEST_SECRET`, `env.CHUNKLINE_TEST_SECRET // "none"`, `{x: $ENV["A"]}`, `"\(env.A)"`,
		`def f: env; f`, `def f: $ENV; .`, `if . then env else . end`, `. as {a: $a} | $ENV`, `try env catch .`, `[.[] | env | keys]`,
		`env as $ENV | $ENV`,
	} {
		if _, err := Parse("jq:" + program); err == nil || !strings.Contains(err.Error(), "$ENV and env are not allowed") || !strings.Contains(err.Error(), "--arg") {
			t.Errorf("%s: %v, want that the environment is refused", program, err)
		}
	}
	for program, want := range map[string]string{ // names of the program's own
		`def env: "mine"; env`: `"mine"`, `"mine" as $ENV | $ENV`: `"mine"`, `.env`: `null`, `{env: 1} | .env`: `1`, `"env $ENV"`: `"env $ENV"`,
	} {
		wantLines(t, mustRun(t, mustNew(t, "jq:"+program), body(`{}`), nil, Options{}), want)
	}
}

// A program without an end is ended by the timeout, its neighbours go on, and
// the end of the context ends Run.
func TestJQEndless(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, `jq:if . == 2 then def f: f; f else . end`)
	out := mustRun(t, wide{tr, `2`}, body(`1`, `2`, `3`), nil, Options{})
	wantLines(t, out, `1`, `3`)
	wantFailed(t, out, 1, errTestTime.Error())

	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, tr, body(`1`, `2`), nil, Options{Before: func(index int) error {
		if index == 1 {
			cancel()
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v, want the end of its context", err)
	}
}

// Outputs without an end are cut off before they fill the memory: many small
// ones, a large one, and one that is small in memory and endless as text.
func TestJQEndlessOutput(t *testing.T) {
	t.Parallel()
	for _, program := range []string{
		`repeat(.)`, `"x" * 1000000`, `"\u0001" * 60000`, `reduce range(60) as $i (1; [., .])`, `reduce range(60) as $i ([]; {a: ., b: .})`,
	} {
		j := mustNew(t, "jq:"+program).(*jqProcess)
		if j.hello.Limit != chunk.MaxObject {
			t.Errorf("limit %d, want %d", j.hello.Limit, chunk.MaxObject)
		}
		j.hello.Limit = 1 << 16
		wantFailed(t, mustRun(t, j, body(`"ab"`), nil, Options{}), 0, "larger than the limit of 65536 bytes")
	}
}

var errTestTime = errors.New("the test's time is over")

// wide gives Map a short timeout for one object, and none for the others: a
// slow machine then cannot fail the others.
type wide struct {
	Transform
	slow string // the object, or a part of it
}

func (w wide) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	if strings.Contains(string(object), w.slow) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, 50*time.Millisecond, errTestTime)
		defer cancel()
	}
	return w.Transform.Map(ctx, object, dst)
}
