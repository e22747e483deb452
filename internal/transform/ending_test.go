package transform

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A program has its time for the work that it does on exit, and is not killed before.
func TestExecEndIsAwaited(t *testing.T) {
	t.Parallel()
	h := newHolders(t)
	mark := filepath.Join(t.TempDir(), "committed")
	p := newFake(t, false, "end="+h.addr(), "mark="+mark)
	mustRun(t, p, wishes(wish{ID: 0}), nil, Options{})
	p.endTimeout = time.Hour
	closed := make(chan error, 1)
	go func() { closed <- p.Close() }()
	conn, err := h.Accept() // its input has ended
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Fatal("the program committed before it was allowed to")
	}
	conn.Close()
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("the work that it does on exit is missing: %v", err)
	}
}

// How a program ends after its work: well, badly, after SIGTERM, after SIGKILL.
func TestExecEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		end, term    time.Duration
		err          string
		warnings     []string
	}{
		{"well", `while read -r l; do echo "$l"; done; exit 0`, time.Hour, time.Hour, "", nil},
		{"badly", `while read -r l; do echo "$l"; done; echo no space >&2; exit 7`, time.Hour, time.Hour, "sh: it ended with exit status 7; on standard error: no space; work that it does on exit may be missing", nil},
		{"well after SIGTERM", `trap 'exit 0' TERM; while read -r l; do echo "$l"; done; while :; do sleep 0.01; done`, 1, time.Hour, "", []string{"1ns after its input ended (--end-timeout, END_TIMEOUT): sending SIGTERM"}},
		{"by SIGTERM", `while read -r l; do echo "$l"; done; sleep 1000`, 1, time.Hour, "signal: terminated, stopped because it was still running 1ns after its input ended", []string{"sending SIGTERM"}},
		{"by SIGKILL", `trap '' TERM; while read -r l; do echo "$l"; done; sleep 1000`, 1, 1, "signal: killed", []string{"sending SIGTERM", "1ns after SIGTERM: killing it"}},
		{"while it prints", `while read -r l; do echo "$l"; done; head -c 1000000 /dev/zero; exit 0`, time.Hour, time.Hour, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := Parse("exec:sh -c \"" + strings.ReplaceAll(c.script, `"`, `\"`) + `"`)
			if err != nil {
				t.Fatal(err)
			}
			var warnings []string
			s.Warn = func(text string) { warnings = append(warnings, text) }
			s.Stderr, s.EndTimeout = new(lockedBuffer), c.end
			tr, err := s.New()
			if err != nil {
				t.Fatal(err)
			}
			tr.(*program).termGrace = c.term
			mustRun(t, tr, body(`1`), nil, Options{})
			err = tr.Close()
			if c.err == "" && err != nil || c.err != "" && (!errors.Is(err, ErrEnd) || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("Close: %v, want %q", err, c.err)
			}
			if len(warnings) != len(c.warnings) {
				t.Fatalf("got the warnings %q, want %q", warnings, c.warnings)
			}
			for i, want := range c.warnings {
				if !strings.Contains(warnings[i], want) {
					t.Errorf("got the warning %q, want %q in it", warnings[i], want)
				}
			}
		})
	}
}

// A program whose chunk is dropped has its time for its end, too, while the next
// chunk has a new process. It is no failure of the job.
func TestExecEndsAfterDrop(t *testing.T) {
	t.Parallel()
	h := newHolders(t)
	mark := filepath.Join(t.TempDir(), "committed")
	p := newFake(t, false, "end="+h.addr(), "mark="+mark)
	p.endTimeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, p, wishes(wish{ID: 0}, wish{ID: 1}), nil, Options{Before: func(index int) error {
		if index == 1 {
			cancel()
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Run: %v", err)
	}
	conn, err := h.Accept()
	if err != nil {
		t.Fatal(err)
	}
	out := mustRun(t, p, wishes(wish{ID: 2}), nil, Options{})
	wantLines(t, out, `{"id":2}`)
	conn.Close() // and that of the second
	go func() {
		if conn, err := h.Accept(); err == nil {
			conn.Close()
		}
	}()
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("the work that it does on exit is missing: %v", err)
	}
}

// There is a warning about a program that fails between two objects.
func TestExecEndsBetween(t *testing.T) {
	t.Parallel()
	s, err := Parse(`exec:sh -c 'read -r l; echo "$l"; exec >&-; exit 4'`)
	if err != nil {
		t.Fatal(err)
	}
	s.EndTimeout = time.Hour
	warnings := make(chan string, 10)
	s.Warn = func(text string) { warnings <- text }
	tr, err := s.New()
	if err != nil {
		t.Fatal(err)
	}
	ended := func(int) error { // the process that answered has ended when the next object comes
		if c := tr.(*program).child; c != nil {
			<-c.dead
		}
		return nil
	}
	out := mustRun(t, tr, body(`1`, `2`, `3`), nil, Options{Before: ended})
	wantLines(t, out, `1`, `2`, `3`)
	_ = ended(3)
	if err := tr.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if text := <-warnings; !strings.Contains(text, "sh: ended between two objects: it ended with exit status 4") || len(warnings) > 0 {
		t.Errorf("got the warning %q and %d more", text, len(warnings))
	}
}
