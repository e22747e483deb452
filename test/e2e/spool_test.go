package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/chunkline/chunkline/test/proc"
)

// slowCommand blocks after 1000 lines in its first run, after 2000 in its second, and
// ends in its third.
const slowCommand = `cmd:sh -c 'echo run >>runs; runs=$(wc -l <runs); seq 1 1000; test $runs -ge 2 || cat gate; seq 1001 2000; test $runs -ge 3 || cat gate; seq 2001 3000'`

// TestSpool_killed: a run that is killed while it spools the output of a command resumes
// from the spool, and the output has each object once.
func TestSpool_killed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gate, spool := filepath.Join(dir, "gate"), filepath.Join(dir, "out.jsonl.chunkline", "source.zst")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "-i", slowCommand, "-o", "out.jsonl", "-t", "identity"}
	run := proc.Start(t, proc.Spec{Dir: dir, Label: "run", Program: "chunkline", Args: args})
	for _, last := range []string{"\n1000\n", "\n2000\n"} {
		proc.Eventually(t, "the spool to end in"+last, func() bool { return strings.HasSuffix(spooled(t, spool), last) || run.Ended() })
		if run.Ended() {
			t.Fatalf("the run has ended: %s", run.Tail())
		}
		run.Kill()
		open, err := os.OpenFile(gate, os.O_RDWR, 0) // unblocks the command, if it still runs; O_RDWR does not wait for a reader
		if err != nil {
			t.Fatal(err)
		}
		if err := open.Close(); err != nil {
			t.Fatal(err)
		}
		run.Start()
	}
	if code := run.Exit(); code != 0 {
		t.Fatalf("the third run ended with %d: %s", code, run.Tail())
	}
	var want strings.Builder
	for i := range 3000 {
		fmt.Fprintln(&want, i+1)
	}
	check := func() {
		t.Helper()
		output, err := os.ReadFile(filepath.Join(dir, "out.jsonl"))
		if err != nil || string(output) != want.String() {
			t.Errorf("the output has %d bytes, want %d: %v", len(output), want.Len(), err)
		}
		if runs, err := os.ReadFile(filepath.Join(dir, "runs")); err != nil || string(runs) != "run\nrun\nrun\n" {
			t.Errorf("the command ran as %q says, want 3 times: %v", runs, err)
		}
	}
	check()
	run.Start() // with nothing to do
	if code := run.Exit(); code != 0 {
		t.Errorf("the fourth run ended with %d: %s", code, run.Tail())
	}
	check()
	if stdout, stderr, code := proc.Run(t, nil, "chunkline", "verify", "-o", filepath.Join(dir, "out.jsonl")); code != 0 {
		t.Errorf("verify: exit %d, %s%s", code, stdout, stderr)
	}
}

// spooled returns the content of a spool, which may still be written to.
func spooled(t *testing.T, path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	text, _ := z.DecodeAll(content, nil) // up to an incomplete record
	return string(text)
}
