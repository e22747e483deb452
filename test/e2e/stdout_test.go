package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// filter starts chunkline with a pipe as its standard output. The caller waits for it.
func filter(t *testing.T, dir string, args ...string) (cmd *exec.Cmd, stdout io.ReadCloser, stderr *bytes.Buffer) {
	t.Helper()
	cmd, stderr = exec.CommandContext(t.Context(), proc.Path("chunkline"), args...), new(bytes.Buffer)
	cmd.Dir, cmd.Stderr = dir, stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary(dir))
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = os.MkdirAll(temporary(dir), 0o777)
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, stdout, stderr
}

// temporary is the folder for temporary files.
func temporary(dir string) string { return filepath.Join(dir, "tmp") }

// TestStdout_head: when the reader closes the pipe, the job ends as SIGPIPE ends other filters, without a message, and
// its temporary folder is gone. The input never ends, or the program does not end after the fourth object.
func TestStdout_head(t *testing.T) {
	t.Parallel()
	progress := regexp.MustCompile(`(?m)^ *\d+ % of .*\n`)
	for name, args := range map[string][]string{
		"endless input":   {"-i", "cmd:yes 1", "-t", "identity"},
		"endless program": {"-i", "cmd:seq 9", "--chunk-size", "1", "-j", "1", "--exec", `sh -c 'while read -r n; do test "$n" != 4 || until test -e closed; do sleep 0.05; done; echo "$n"; test "$n" != 4 || exec sleep 1000; done'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd, stdout, stderr := filter(t, dir, append([]string{"run", "-o", "-"}, args...)...)
			lines := bufio.NewReaderSize(stdout, 16)
			for range 3 {
				if _, err := lines.ReadString('\n'); err != nil {
					t.Fatalf("%v: %s", err, stderr)
				}
			}
			if err := errors.Join(stdout.Close(), os.WriteFile(filepath.Join(dir, "closed"), nil, 0o666)); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the state has it
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGPIPE {
				t.Errorf("ended with %s, want SIGPIPE", cmd.ProcessState)
			}
			if said := progress.ReplaceAllString(stderr.String(), ""); said != "" {
				t.Errorf("stderr: %q", said)
			}
			if left, err := os.ReadDir(temporary(dir)); err != nil || len(left) > 0 {
				t.Errorf("%v; left in the folder for temporary files: %v", err, left)
			}
		})
	}
}

// TestStdout_killed: after SIGKILL the same command writes all outputs from the beginning, and maps no object again whose
// output had been written.
func TestStdout_killed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const n, seen = 300, 100 // a worker may get several chunks at once
	args := []string{
		"run", "-i", fmt.Sprintf("cmd:seq %d", n), "-o", "-", "--work", "work", "--chunk-size", "10", "-j", "2",
		"--exec", `sh -c 'while read -r n; do test "$n" -lt 250 || until test -e go; do sleep 0.05; done; echo "$n" >>mapped; echo "$n"; done'`,
	}
	var want strings.Builder
	for i := range n {
		fmt.Fprintln(&want, i+1)
	}
	cmd, stdout, stderr := filter(t, dir, args...)
	lines := bufio.NewReader(stdout)
	for i := range seen {
		if line, err := lines.ReadString('\n'); line != fmt.Sprintln(i+1) {
			t.Fatalf("line %d is %q, %v: %s", i, line, err, stderr)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd, stdout, stderr = filter(t, dir, args...)
	got, err := io.ReadAll(stdout)
	if err != nil || string(got) != want.String() {
		t.Errorf("%v; the second run has written %d bytes, want %d", err, len(got), want.Len())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	mapped, err := os.ReadFile(filepath.Join(dir, "mapped"))
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for line := range strings.Lines(string(mapped)) {
		times[strings.TrimSpace(line)]++
	}
	for i := range seen {
		if times[fmt.Sprint(i+1)] != 1 {
			t.Errorf("object %d was mapped %d times", i+1, times[fmt.Sprint(i+1)])
		}
	}
}
