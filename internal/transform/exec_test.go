package transform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// newFake makes an exec transform of the fake program. Once trusted, it leaves
// the quiet waits out, as after 100 good answers.
func newFake(tb testing.TB, trusted bool, args ...string) *program {
	tb.Helper()
	s, err := Parse(fakeSpec(args...))
	if err != nil {
		tb.Fatal(err)
	}
	s.Stderr, s.EndTimeout = new(lockedBuffer), time.Hour
	tr, err := s.New()
	if err != nil {
		tb.Fatal(err)
	}
	p := tr.(*program)
	p.env = append(p.env, "GORACE=atexit_sleep_ms=0") // or each exit takes a second
	if trusted {
		p.trust = trustAfter
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return p
}

// inModes runs a test in the two ways in which a process may be treated; see newFake.
func inModes(t *testing.T, test func(t *testing.T, trusted bool)) {
	t.Helper()
	for name, trusted := range map[string]bool{"new": false, "trusted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, trusted)
		})
	}
}

// Answers of all allowed kinds come from one process.
func TestExecAnswers(t *testing.T) {
	t.Parallel()
	inModes(t, func(t *testing.T, trusted bool) {
		p := newFake(t, trusted)
		b := wishes(wish{ID: 0}, wish{ID: 1, Do: "empty"}, wish{ID: 2, Do: "error"}, wish{ID: 3, Do: "crlf"}, wish{ID: 4, Do: "noise", Size: 3}, wish{ID: 5})
		out := mustRun(t, p, b, []chunk.Flaw{{Index: 5, Reason: "poison"}}, Options{})
		wantLines(t, out, `{"id":0}`, `{"id":3}`, `{"id":4}`)
		wantFailed(t, out, 2, "no such user", 5, "poison")
		if out.Failed[0].Err != "no such user" {
			t.Errorf("the message became %q", out.Failed[0].Err)
		}
		first := p.child
		if first == nil {
			t.Fatal("the process does not run on")
		}
		mustRun(t, p, wishes(wish{ID: 6}), nil, Options{})
		if p.child != first {
			t.Error("the next chunk has another process")
		}
	})
}

// Each of these costs the object in progress only, and only after a second try.
func TestExecFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ do, want string }{
		{"crash", "failed again in a new process: the program ended, or closed its input or output, before it answered (exit status 3); on standard error: panic: bad object 1"},
		{"close", "before it answered (signal: killed)"},
		{"partial", "before it answered (exit status 0)"},
		{"garbage", `failed again in a new process: the program answered "{\"id\":", which is not JSON`},
		{"latin1", `the program answered "\"\xe9\"", which is not UTF-8`},
		{"huge", "answer is too long: more than 65536 bytes"},
		{"two", "failed again in a new process: the program answered with more than one line"},
		{"hang", "failed again in a new process: " + errTestTime.Error() + ": does the program flush its output after every line? make it flush after each line; stdbuf -oL PROGRAM does that to many"},
		{"none", errTestTime.Error()},
	} {
		t.Run(c.do, func(t *testing.T) {
			t.Parallel()
			inModes(t, func(t *testing.T, trusted bool) {
				p := newFake(t, trusted)
				p.limit = 1 << 16
				b := wishes(wish{ID: 0}, wish{ID: 1, Do: c.do, Size: 1 << 18}, wish{ID: 2}, wish{ID: 3})
				var tr Transform = p
				if c.do == "hang" || c.do == "none" {
					tr = slowFake{p, wide{p, `"id":1,`}}
				}
				out := mustRun(t, tr, b, nil, Options{})
				wantLines(t, out, `{"id":0}`, `{"id":2}`, `{"id":3}`)
				wantFailed(t, out, 1, c.want)
			})
		})
	}
}

// slowFake is a program with a short time for one object, see wide.
type slowFake struct {
	*program
	wide
}

func (s slowFake) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	return s.wide.Map(ctx, object, dst)
}
func (s slowFake) Close() error { return s.program.Close() }

// An object that fails once, but not in a new process, has not failed.
func TestExecSecondTry(t *testing.T) {
	t.Parallel()
	for _, do := range []string{"crash", "partial", "garbage", "close", "two"} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			inModes(t, func(t *testing.T, trusted bool) {
				mark := filepath.Join(t.TempDir(), "mark")
				out := mustRun(t, newFake(t, trusted), wishes(wish{ID: 0}, wish{ID: 1, Do: do, Mark: mark}, wish{ID: 2}), nil, Options{})
				wantLines(t, out, `{"id":0}`, `{"id":1}`, `{"id":2}`)
				wantFailed(t, out)
				if _, err := os.Stat(mark); err != nil {
					t.Errorf("the request was never honoured: %v", err)
				}
			})
		})
	}
}

// A program may end after an answer: that is no object's fault.
func TestExecEndsBetweenObjects(t *testing.T) {
	t.Parallel()
	inModes(t, func(t *testing.T, trusted bool) {
		p := newFake(t, trusted)
		for range 3 {
			out := mustRun(t, p, wishes(wish{ID: 0, Do: "exit"}, wish{ID: 1}, wish{ID: 2, Do: "exit"}, wish{ID: 3, Do: "exit"}), nil, Options{})
			wantLines(t, out, `{"id":0}`, `{"id":1}`, `{"id":2}`, `{"id":3}`)
			wantFailed(t, out)
		}
	})
}

// Objects and answers larger than any pipe, to a program that reads and writes
// at the same time.
func TestExecLargeObjects(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, "exec:cat")
	large := func(c string) string { return `"` + strings.Repeat(c, 3<<20) + `"` }
	b := body(large("a"), `1`, large("b"), large("c"), `2`)
	out := mustRun(t, tr, b, nil, Options{})
	if string(out.Lines) != string(b) || len(out.Failed) > 0 {
		t.Errorf("%d bytes became %d, %v", len(b), len(out.Lines), out.Failed)
	}
}

// A program may die while a large object is on its way to it, or close its output, not read, and live on.
func TestExecFailsWhileWriting(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		`exec:sh -c 'head -c 100000 >/dev/null; exit 9'`: "exit status 9",
		`exec:sh -c 'exec >&-; sleep 1000'`:              "closed its input or output",
	} {
		out := mustRun(t, mustNew(t, command), body(`"`+strings.Repeat("x", 1<<20)+`"`), nil, Options{})
		wantFailed(t, out, 0, want)
	}
}

func TestExecAnswerLimit(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	p.limit = 10
	out := mustRun(t, p, wishes(wish{Do: "huge", Size: 8}, wish{Do: "huge", Size: 9}), nil, Options{})
	wantLines(t, out, `"xxxxxxxx"`)
	wantFailed(t, out, 1, ": more than 10 bytes")

	endless := mustNew(t, "exec:cat /dev/zero").(*program) // a line without an end
	endless.limit = 1 << 20
	wantFailed(t, mustRun(t, endless, body(`1`), nil, Options{}), 0, ": more than 1048576 bytes")
}

func TestExecLineBreak(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	if _, err := p.Map(t.Context(), []byte("[1,\n2]"), nil); err == nil || p.child != nil {
		t.Errorf("an object of two lines was sent: %v", err)
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Setenv("NATS_PASSWORD", "canary")
	t.Setenv("SINK", "postgres://user:canary@host")
	t.Setenv("MY_MODEL", "small")
	all := strings.Join(envOfProgram(t), "\n")
	if !strings.Contains(all, "MY_MODEL=small") || !strings.Contains(all, "PATH="+os.Getenv("PATH")) {
		t.Errorf("the environment lacks the user's variables:\n%s", all)
	}
	if strings.Contains(all, "canary") {
		t.Errorf("the environment has secrets:\n%s", all)
	}
}

func envOfProgram(t *testing.T) (env []string) {
	t.Helper()
	out := mustRun(t, newFake(t, false), wishes(wish{Do: "env"}), nil, Options{})
	if err := json.Unmarshal(out.Lines, &env); err != nil {
		t.Fatal(err)
	}
	return env
}

// A program that cannot be started at all is no fault of an object.
func TestExecCannotStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "map")
	if err := os.WriteFile(path, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	tr := mustNew(t, fmt.Sprintf("exec:%q", []string{path}))
	out, err := Run(t.Context(), tr, body(`1`, `2`), nil, Options{})
	if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "or the interpreter in its first line (#!) does not exist") || out.Counts != nil {
		t.Errorf("Run: %+v, %v; want ErrBroken with the path", out, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), tr, body(`1`), nil, Options{}); !errors.Is(err, ErrBroken) {
		t.Errorf("Run without the program: %v, want ErrBroken", err)
	}
}
