package main

import (
	"bufio"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// TestProgramsStderr: a program's standard error is written like all other output, so that
// it is not in the line of the bar.
func TestProgramsStderr(t *testing.T) {
	dir := t.TempDir()
	in := write(t, filepath.Join(dir, "in"), "1\n")
	r := must(t, 0, "run", "-i", in, "-o", filepath.Join(dir, "out"), "--exec", `sh -c 'echo a word >&2; exec cat'`, "-j", "1")
	wantWords(t, r.stderr, "a word")

	t.Setenv("TERM", "xterm")
	tty, behind := proc.Terminal(t)
	c := command()
	c.SetArgs([]string{"run", "-i", in, "-o", filepath.Join(dir, "out2"), "--exec", `sh -c 'read x; echo a word >&2; echo 1; exec cat'`, "-j", "1"})
	c.SetErr(tty)
	c.SetOut(io.Discard)
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(tty, "END\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(behind)
	for {
		line, err := reader.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "END") {
			t.Fatalf("no line of the program: %v", err)
		}
		if strings.Contains(line, "a word") {
			if i := strings.LastIndex(line, "\r\x1b[J"); strings.Contains(strings.TrimPrefix(line[max(i, 0):], "\r\x1b[J"), "%") {
				t.Errorf("it is in the line of the bar: %q", line)
			}
			return
		}
	}
}
