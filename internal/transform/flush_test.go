package transform

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// There is one warning, with a hint, about a program that never answers its first object,
// however many workers have one.
func TestExecSaysThatNothingIsFlushed(t *testing.T) {
	t.Parallel()
	s, err := Parse(`exec:sh -c 'while read -r line; do : jq -c .; done'`)
	if err != nil {
		t.Fatal(err)
	}
	warnings := make(chan string, 10)
	s.Warn = func(text string) { warnings <- text }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const workers = 3
	done := make(chan error, workers)
	for range workers {
		tr, err := s.New()
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		tr.(*program).patience = 1
		go func() {
			_, err := Run(ctx, tr, body(`1`), nil, Options{})
			done <- err
		}()
	}
	text := <-warnings
	cancel()
	for range workers {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}
	for _, want := range []string{"sh: no answer within 1ns", "does not flush", "use jq --unbuffered -c"} {
		if !strings.Contains(text, want) {
			t.Errorf("got the warning %q, want %q in it", text, want)
		}
	}
	if len(warnings) > 0 {
		t.Errorf("got a second warning: %q", <-warnings)
	}
}

// There is no warning about a program that has answered before, however slow it is.
func TestExecMayBeSlowLater(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	p.patience = time.Hour
	mustRun(t, p, wishes(wish{ID: 0}), nil, Options{})
	p.patience = 1
	mustRun(t, p, wishes(wish{ID: 0}, wish{ID: 1}), nil, Options{})
	if got := p.log.to.(*lockedBuffer).String(); strings.Contains(got, "no answer") {
		t.Errorf("got the warning %q, want none", got)
	}
}

// Python flushes each line, unless the person has set it otherwise.
func TestExecPythonFlushes(t *testing.T) {
	for _, c := range []struct {
		set, want string
	}{{"unset", "PYTHONUNBUFFERED=1"}, {"", "PYTHONUNBUFFERED="}, {"x", "PYTHONUNBUFFERED=x"}} {
		t.Setenv("PYTHONUNBUFFERED", c.set)
		if c.set == "unset" {
			os.Unsetenv("PYTHONUNBUFFERED")
		}
		env := slices.DeleteFunc(envOfProgram(t), func(v string) bool { return !strings.HasPrefix(v, "PYTHONUNBUFFERED=") })
		if len(env) != 1 || env[0] != c.want {
			t.Errorf("PYTHONUNBUFFERED %s becomes %q, want %s", c.set, env, c.want)
		}
	}
}

func TestFlushCure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		argv []string
		want string
	}{
		{[]string{"python3.11", "map.py"}, "-u"},
		{[]string{"/usr/bin/python3", "map.py"}, "flush=True"},
		{[]string{"jq", "-c", "."}, "--unbuffered"},
		{[]string{"sh", "-c", "sed -e s/a/b/ | tr a b"}, "sed -u"},
		{[]string{"env", "LANG=C", "awk", "{print}"}, "fflush()"},
		{[]string{"./map"}, "stdbuf -oL"},
	} {
		if got := flushCure(c.argv); !strings.Contains(got, c.want) {
			t.Errorf("%q: %q, want %q in it", c.argv, got, c.want)
		}
	}
}
