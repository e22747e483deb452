package transform

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const reaperName = "subreaper"

// orphans is how many processes the program of reaperProgram leaves behind.
const orphans = 50

// TestReapOrphans: what a program leaves behind is reaped, and the status of
// the programs themselves is not.
func TestReapOrphans(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), os.Args[0], reaperName).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "reaped\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// reaperProgram is a process that the kernel gives orphans to, as it does with
// process 1.
func reaperProgram() {
	if err := reaper(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is another program
	}
	fmt.Fprintln(os.Stderr, "reaped")
}

func reaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	s, err := Parse(`exec:sh -c 'while read -r l; do case "$l" in 0) exit 3;; esac; (: &); echo "$l"; done; exit 7'`)
	if err != nil {
		return err
	}
	tr, err := s.New()
	if err != nil {
		return err
	}
	var objects []string
	for i := range orphans {
		objects = append(objects, fmt.Sprint(i+1))
	}
	out, err := Run(context.Background(), tr, body(append(objects, "0", "1")...), nil, Options{})
	if err != nil || len(out.Failed) != 1 || !strings.Contains(out.Failed[0].Err, "exit status 3") {
		return fmt.Errorf("Run: %v, %w; want the status of the program, 3", out.Failed, err)
	}
	for began := time.Now(); ; runtime.Gosched() { // the reaper may not have run yet
		left, err := zombies()
		if err != nil || left > orphans/2 && time.Since(began) > 2*time.Minute {
			return fmt.Errorf("%d of %d are not reaped: %w", left, orphans, err)
		}
		if left <= orphans/2 {
			break
		}
	}
	if err := tr.Close(); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		return fmt.Errorf("Close: %w, want the status of the program, 7", err)
	}
	return nil
}

// zombies counts the children of this process that have ended.
func zombies() (n int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it is gone
		}
		var state string
		var parent int
		_, after, _ := strings.Cut(string(text), ") ")
		if _, err := fmt.Sscan(after, &state, &parent); err != nil {
			return 0, err
		}
		if state == "Z" && parent == os.Getpid() {
			n++
		}
	}
	return n, nil
}
