package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// openCommand opens a command and discards its standard error.
func openCommand(t *testing.T, spec, spool string) Source {
	t.Helper()
	s, err := Open(Options{Size: 2, Bytes: 1000, Spool: spool, Stderr: io.Discard}, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// drainCommand reads a command to its end, and closes it.
func drainCommand(t *testing.T, spec, spool string) ([]string, error) {
	t.Helper()
	s, err := Open(Options{Size: 2, Bytes: 1000, Spool: spool, Stderr: io.Discard}, spec)
	if err != nil {
		t.Fatal(err)
	}
	cuts, err := drain(s)
	if e := s.Close(); e != nil {
		t.Error(e)
	}
	return objects(cuts), err
}

func TestCommand(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string][]string{
		`cmd:printf '%s\n' 1 2 3`:                               {"1", "2", "3"},
		`cmd:["printf", "[1,\n2]"]`:                             {"1", "2"},
		`cmd?format=csv&types=n%3Aint:printf 'n\n1\n2\n'`:       {`{"n":1}`, `{"n":2}`},
		`cmd?format=lines:printf '[1,2]\n'`:                     {"[1,2]"},
		`cmd:sh -c '(sleep 0.1; echo 2) & echo 1'`:              {"1", "2"}, // a process that the command leaves behind still writes
		`cmd:sh -c 'echo "{\"n\":1}" | gzip -c'`:                {`{"n":1}`},
		`cmd:true`:                                              nil,
		"cmd:sh -c 'echo $SOURCE_TOKEN$NATS_URL; cat'":          nil, // no secrets, and empty standard input
		" cmd:sh -c 'exec >&- 2>&-; exit 0'":                    nil,
		"cmd:sh -c 'head -c 9000000 /dev/zero | tr \\\\0 \\  '": nil,
	} {
		s := openCommand(t, spec, filepath.Join(t.TempDir(), "spool"))
		cuts, err := drain(s)
		if got := objects(cuts); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", spec, got, err, want)
		}
		if s.Rereads() {
			t.Errorf("%s: can be read again", spec)
		}
	}
}

// A command that fails is never mistaken for a source that has ended.
func TestCommand_fails(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`echo 1; echo one >&2; echo two >&2; exit 3`:           `read cmd:sh -c '%s', line 2, byte 2: the command failed with exit status 3: one; two`,
		`echo 1; kill -9 $$`:                                   "failed with signal: killed, and nothing on standard error",
		`echo 1; (sleep 1000) & exit 1`:                        "failed with exit status 1", // although its output stays open
		`for i in 1 2 3 4 5 6 7; do echo $i >&2; done; exit 1`: "exit status 1: 3; 4; 5; 6; 7",
		`printf 1; exit 1`:                                     "exit status 1", // and not the truncated object
	} {
		want = strings.ReplaceAll(want, "%s", script)
		spool := filepath.Join(t.TempDir(), "spool")
		for range 2 { // the next run fails alike
			_, err := drainCommand(t, "cmd:sh -c '"+script+"'", spool)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", script, err, want)
			}
		}
	}
}

// Closing the source kills the command and everything in its group.
func TestCommand_close(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "alive")
	s, err := Open(Options{Size: 1, Bytes: 100, Stderr: io.Discard}, fmt.Sprintf("cmd:sh -c 'echo 1; cat >%s & cat /dev/zero >/dev/null'", fifo))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if c, _, err := s.Next(ctx); err != nil || string(c.Body) != "1\n" {
		t.Fatalf("%q, %v", c.Body, err)
	}
	cancel()
	if _, _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Next after the end of its context: %v", err)
	}
	if err := s.Close(); err != nil { // returns only when the command is dead
		t.Error(err)
	}
}

func TestCommand_settings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(write(t, "a.jsonl", "1\n"), "a.jsonl")
	for spec, want := range map[string]string{
		"cmd:":                   "the program is missing; use cmd:PROGRAM",
		"cmd?format=csv":         "the program is missing; use cmd:PROGRAM ARG…, or cmd?format=csv:PROGRAM",
		"cmd:no-such-program":    "cannot be started",
		"cmd:cat a | head":       `"|" needs a shell, and none is started; use cmd:sh -c '…'`,
		file + ",cmd:cat":        "a command, an API or a query must be the only item",
		"cmd?format=x:cat":       "format=x",
		"cmd?format=parquet:cat": "Parquet",
		"cmd?form=csv:cat":       `there is no option "form"`,
		"cmd:" + "cat " + strings.Repeat("x", 4000): "put it into a script",
	} {
		_, err := Open(Options{Size: 1, Bytes: 1}, spec)
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50s: %v, want %q", spec, err, want)
		}
	}
}

// The name in the plan opens the same source.
func TestCommand_identity(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		" cmd: printf 'a?format=csv,b' ":               "cmd:printf 'a?format=csv,b'",
		"cmd?types=n%3Aint&format=csv:printf 'n\n1\n'": "cmd?format=csv&types=n%3Aint:printf 'n\n1\n'",
	} {
		s := openCommand(t, given, "")
		if s.Identity() != want {
			t.Errorf("%q: %q, want %q", given, s.Identity(), want)
		}
		if again := openCommand(t, want, ""); again.Plan() != s.Plan() {
			t.Errorf("%q: plan %v, want %v", want, again.Plan(), s.Plan())
		}
	}
	if _, err := os.Stat("cmd:"); err == nil {
		t.Error("a file was created")
	}
}
