package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunCommand: the output of a command is a job's input, which a second run and
// verify take from the work folder.
func TestRunCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, runs := filepath.Join(dir, "out"), filepath.Join(dir, "runs")
	input := `cmd:sh -c 'echo run >>"$0"; printf "id,name\n1,a\n2,\"b,c\"\n"' ` + runs
	args := []string{"run", "-i", input, "--format", "csv&types=id:int", "-o", out, "-t", "identity"}
	for range 2 {
		must(t, 0, args...)
		wantFile(t, out, "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"b,c\"}\n")
		wantWords(t, must(t, 0, "verify", "-o", out).stdout, "2 objects", " 0 problems")
	}
	wantFile(t, runs, "run\n")
	r := must(t, 1, "run", "-i", strings.Replace(input, "echo", "true; echo", 1), "-o", out, "-t", "identity")
	wantWords(t, r.err.Error(), "sink was begun with another plan")
	wantWords(t, must(t, 2, "run", "-i", input, "-i", runs, "-o", out, "-t", "identity").err.Error(), "a command must be the only input")
}

// TestRunCommandFails: a job whose command fails is not done, and goes on when the
// command works.
func TestRunCommandFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, works := filepath.Join(dir, "out"), filepath.Join(dir, "works")
	args := []string{"run", "-i", `cmd:sh -c 'echo 1; echo 2; if ! [ -e "$0" ]; then echo no network >&2; exit 3; fi; echo 3' ` + works, "-o", out, "-t", "identity", "--chunk-size", "1"}
	for range 2 {
		r := must(t, 1, args...)
		wantWords(t, r.err.Error(), "read cmd:sh -c", "the command failed with exit status 3: no network")
		wantWords(t, r.stderr, "no network\n")
		if _, err := os.Stat(out); err == nil || strings.Contains(r.stderr, "job done") {
			t.Errorf("the job is done: %v, %s", err, r.stderr)
		}
		wantWords(t, must(t, 1, "verify", "-o", out).err.Error(), "no run has read the whole stream yet")
	}
	write(t, works, "")
	must(t, 0, args...)
	wantFile(t, out, "1\n2\n3\n")
}

// TestRunGivenAgain: standard input that is piped in again must be the same.
func TestRunGivenAgain(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	args := []string{"run", "-o", out, "-t", "identity"}
	for _, c := range []struct {
		text string
		code int
		want string
	}{
		{"1\n2\n", 0, ""},
		{"1\n2\n", 0, ""},
		{"1\n3\n", 1, "it has other bytes than in the run before"},
		{"", 1, "it is shorter than in the run before"},
		{"1\n2\n3\n", 1, "it is longer than in the run before"},
		{"1\n2\n", 0, ""},
	} {
		r := chunklineWith(t.Context(), strings.NewReader(c.text), args...)
		r.want(t, c.code)
		if c.want != "" {
			wantWords(t, r.err.Error(), c.want, "choose another output")
		}
		wantFile(t, out, "1\n2\n")
	}
}
