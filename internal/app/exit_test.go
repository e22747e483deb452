package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func TestCode(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{plain, 1},
		{Usage("X=%d: %w", 1, plain), 2},
		{WithCode(ExitUnreachable, plain), 3},
		{ErrDeadLetters, 4},
		{fmt.Errorf("outer: %w", WithCode(ExitInterrupted, plain)), 130},
		{errors.Join(plain, ErrDeadLetters), 4},
		{WithCode(ExitUsage, WithCode(ExitUnreachable, plain)), 2}, // the outermost knows best
		{WithCode(ExitUsage, nil), 0},
	} {
		if got := Code(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
	if err := Usage("X: %w", plain); !errors.Is(err, plain) || err.Error() != "X: plain" {
		t.Errorf("got %v", err)
	}
}

func TestMainPrintsOneLine(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	code := Main("prog", &stderr, func(context.Context) error { return errors.Join(errors.New("one"), ErrDeadLetters) })
	if got, want := stderr.String(), "prog: one; finished with dead letters\n"; got != want || code != ExitDead {
		t.Errorf("got %q and exit code %d, want %q and 4", got, code, want)
	}
	stderr.Reset()
	if code := Main("prog", &stderr, func(context.Context) error { return nil }); code != 0 || stderr.Len() > 0 {
		t.Errorf("got %q and exit code %d, want nothing and 0", stderr.String(), code)
	}
}

// childRole makes the test binary a process under test: see TestMain.
const childRole = "APP_TEST_CHILD"

func TestMain(m *testing.M) {
	os.Exit(testOrChild(m)) //nolint:forbidigo // the main function of these processes
}

func testOrChild(m *testing.M) int {
	switch os.Getenv(childRole) {
	case "":
		return m.Run()
	case "exec":
		return Exec("child", "is a test.", func(_ context.Context, c Common, log zerolog.Logger) error {
			log.Info().Msg("runs")
			return fmt.Errorf("job %s ends", c.Job)
		}, new(settings))
	default: // "orderly" or "deaf"
		repeatWindow = 0 // TestEcho is about that
		return Main("child", os.Stderr, func(ctx context.Context) error {
			fmt.Println("ready")
			<-ctx.Done()
			fmt.Println("stopping")
			if os.Getenv(childRole) == "deaf" {
				select {}
			}
			return WithCode(ExitInterrupted, errors.New("stopped"))
		})
	}
}

// child starts the test binary as a process under test.
func child(t *testing.T, role string, env []string, args ...string) (*exec.Cmd, *bufio.Reader, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), childRole+"="+role), env...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(stdout), stderr
}

// TestSignals: the first signal is a request, the second one an order.
func TestSignals(t *testing.T) {
	t.Parallel()
	const secondSignal = "\nchild: ended at once by a second signal\n"
	for _, c := range []struct {
		role          string
		first, second syscall.Signal // second 0: none
		code          int
		stderr        string
	}{
		{"orderly", syscall.SIGINT, 0, 130, "child: stopped\n"},
		{"orderly", syscall.SIGTERM, 0, 130, "child: stopped\n"},
		{"deaf", syscall.SIGINT, syscall.SIGINT, 130, secondSignal},
		{"deaf", syscall.SIGTERM, syscall.SIGTERM, 143, secondSignal},
		{"deaf", syscall.SIGTERM, syscall.SIGINT, 130, secondSignal},
	} {
		t.Run(fmt.Sprint(c.role, " ", c.first, " ", c.second), func(t *testing.T) {
			t.Parallel()
			cmd, stdout, stderr := child(t, c.role, nil)
			for _, step := range []struct {
				line   string
				signal syscall.Signal
			}{{"ready\n", c.first}, {"stopping\n", c.second}} {
				if line, err := stdout.ReadString('\n'); err != nil || line != step.line {
					t.Fatalf("the child printed %q, %v; want %q", line, err, step.line)
				}
				if step.signal != 0 {
					_ = cmd.Process.Signal(step.signal)
				}
			}
			_ = cmd.Wait() // the exit code says it
			if got := cmd.ProcessState.ExitCode(); got != c.code || stderr.String() != c.stderr {
				t.Errorf("exit code %d and %q, want %d and %q", got, stderr, c.code, c.stderr)
			}
		})
	}
}

// TestEcho: the same signal again within half a second is the first one still;
// another signal, or the same one later, is a second one.
func TestEcho(t *testing.T) {
	t.Parallel()
	type signal struct {
		after time.Duration
		syscall.Signal
	}
	const least = time.Nanosecond
	for _, c := range []struct {
		name    string
		signals []signal
		code    int
	}{
		{"once", []signal{{0, syscall.SIGTERM}}, 0},
		{"timeout(1)", []signal{{0, syscall.SIGTERM}, {0, syscall.SIGTERM}}, 0},
		{"many", []signal{{0, syscall.SIGINT}, {0, syscall.SIGINT}, {repeatWindow - least, syscall.SIGINT}}, 0},
		{"half a second later", []signal{{0, syscall.SIGINT}, {repeatWindow, syscall.SIGINT}}, 130},
		{"after an repeatWindow", []signal{{0, syscall.SIGTERM}, {0, syscall.SIGTERM}, {repeatWindow, syscall.SIGTERM}}, 143},
		{"another", []signal{{0, syscall.SIGTERM}, {0, syscall.SIGINT}}, 130},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal)
				end := make(chan struct{})
				code := make(chan int, 1)
				go func() {
					code <- runUntilSignal("child", io.Discard, signals, func(context.Context) error { <-end; return nil })
				}()
				for _, s := range c.signals {
					<-time.After(s.after)
					signals <- s.Signal
					synctest.Wait()
				}
				if c.code == 0 {
					close(end)
				} else {
					defer close(end)
				}
				if got := <-code; got != c.code {
					t.Errorf("exit code %d, want %d", got, c.code)
				}
			})
		})
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		args, env      []string
		code           int
		stdout, stderr []string
	}{
		{"help", []string{"-h"}, []string{"APP_TEST_COUNT=many"}, 0, []string{"child is a test.", "APP_TEST_COUNT", "how many"}, nil},
		{"version", []string{"--version"}, nil, 0, []string{"child " + Version()}, nil},
		{"argument", []string{"-v"}, nil, 2, nil, []string{`child: unknown argument "-v"`, "-h"}},
		{"setting", nil, []string{"APP_TEST_COUNT=many"}, 2, nil, []string{"child: APP_TEST_COUNT="}},
		{"job", nil, []string{"JOB=a.b"}, 2, nil, []string{"child: JOB:", "a.b"}},
		{"level", nil, []string{"LOG_LEVEL=loud"}, 2, nil, []string{`child: LOG_LEVEL="loud"`, "debug"}},
		{"run", nil, []string{"JOB=a"}, 1, nil, []string{`"job":"a","role":"child"`, `"message":"runs"`, "child: job a ends\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd, reader, stderr := child(t, "exec", c.env, c.args...)
			var stdout bytes.Buffer
			if _, err := stdout.ReadFrom(reader); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the exit code says it
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
			wantAll(t, "stdout", stdout.String(), c.stdout)
			wantAll(t, "stderr", stderr.String(), c.stderr)
		})
	}
}

// wantAll wants all words in their order; without words, an empty text.
func wantAll(t *testing.T, what, text string, words []string) {
	t.Helper()
	if !inOrder(text, words) || len(words) == 0 && text != "" {
		t.Errorf("%s: got %q, want %q", what, text, strings.Join(words, " … "))
	}
}
