package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/app"
)

// endsWith returns a program that answers all its objects, those with "bad" with an
// error, and then exits with a status.
func endsWith(status string) string {
	return `sh -c 'while read -r l; do case "$l" in *bad*) echo "!no";; *) echo "$l";; esac; done; echo no space >&2; exit ` + status + `'`
}

// TestProgramEndsBadly: a program that exits with an error fails the job even if all objects
// are saved, with or without dead letters. The report is printed anyway.
func TestProgramEndsBadly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, input, status string
		code                int
	}{
		{"well", "{}\n{}\n", "0", app.ExitOK},
		{"badly", "{}\n{}\n", "7", app.ExitFailed},
		{"well, with dead letters", "{}\n{\"bad\":1}\n", "0", app.ExitDead},
		{"badly, with dead letters", "{}\n{\"bad\":1}\n", "7", app.ExitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			in, out := write(t, filepath.Join(dir, "in.jsonl"), c.input), filepath.Join(dir, "out.jsonl")
			r := must(t, c.code, "run", "-i", in, "-o", out, "-j", "1", "--json", "--exec", endsWith(c.status))
			if got := r.report(t); got.Objects != 2 || got.Output == "" {
				t.Errorf("report is %+v", got)
			}
			if c.status != "0" {
				wantWords(t, r.err.Error(), "sh: it ended with exit status 7", "no space", "may be missing")
			}
		})
	}
}

// TestRetryEndsBadly: the same for a program of dead retry.
func TestRetryEndsBadly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in.jsonl"), "{}\n{\"bad\":1}\n"), filepath.Join(dir, "out.jsonl")
	must(t, app.ExitDead, "run", "-i", in, "-o", out, "--exec", endsWith("0"))
	r := must(t, app.ExitFailed, "dead", "retry", "-o", out, "-j", "1", "--exec", `sh -c 'while read -r l; do echo "$l"; done; exit 7'`)
	wantWords(t, r.err.Error(), "sh: it ended with exit status 7")
	wantWords(t, r.stdout, "1 mapped, 0 failed again")
	wantFile(t, out, "{}\n{\"bad\":1}\n")
}

// TestMergeFails: a folder takes the place of the output while the job runs. The error of the merge, which is tried
// three times, is shown once.
func TestMergeFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in.jsonl"), "{}\n"), filepath.Join(dir, "out.jsonl")
	r := must(t, app.ExitFailed, "run", "-i", in, "-o", out, "--exec", "sh -c 'mkdir "+out+"; exec cat'")
	if shown := r.stderr + r.err.Error(); strings.Count(shown, out+" is not a file") != 1 {
		t.Errorf("want the reason once: %s", shown)
	}
}
