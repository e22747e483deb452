package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunHopeless: a program that fails at every object, or never answers, soon ends the
// job with the cause, unless the job has --keep-going.
func TestRunHopeless(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, _ := numbers(20000)
	in := write(t, filepath.Join(dir, "in"), objects)
	few, _ := numbers(1000)
	for name, c := range map[string]struct {
		what []string
		want []string
	}{
		"fails":         {[]string{"-m", `error("no key")`}, []string{"no key", "--keep-going=true", "chunkline dead list"}},
		"dies at once":  {[]string{"--exec", "false"}, []string{"ended", "--keep-going=true", "chunkline dead list"}},
		"never answers": {[]string{"--exec", "sleep 1000", "--timeout", "10ms"}, []string{"the transform never answers", "no result within 10ms", "--keep-going=true"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out")
			args := append([]string{"run", "-i", in, "-o", out, "-j", "1"}, c.what...)
			r := must(t, 1, args...)
			wantWords(t, r.err.Error(), c.want...)
			if _, err := os.Stat(out); err == nil {
				t.Error("there is an output")
			}
			if name != "never answers" {
				dead := must(t, 0, "dead", "list", "-o", out).stdout
				if n := strings.Count(dead, "\n"); n < 100 || n >= 20000 {
					t.Errorf("%d dead letters, want those of the first chunks", n)
				}
			}
		})
	}
	all := must(t, 4, "run", "-i", write(t, filepath.Join(dir, "few"), few), "-o", filepath.Join(dir, "all"), "-m", "error", "--keep-going", "--json").report(t)
	if all.Dead != 1000 {
		t.Errorf("%d dead letters with --keep-going, want all 1000", all.Dead)
	}
}

// TestMaxDeadSaid: the error of a job with too many dead letters has their number.
func TestMaxDeadSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, _ := numbers(250)
	in, out := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "out")
	r := must(t, 1, "run", "-i", in, "-o", out, "-m", "if .n % 10 == 0 then error else . end", "--max-dead", "5", "-j", "1")
	wantWords(t, r.err.Error(), "--max-dead=5: ", "dead letters: chunkline dead list -o "+out)
	dead := strings.Count(must(t, 0, "dead", "list", "-o", out).stdout, "\n")
	wantWords(t, r.err.Error(), fmt.Sprintf("this lists the %d dead letters", dead))
}

// TestDeadListHint: a shell runs the command of a hint as it is shown, unless a password is left out.
func TestDeadListHint(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{
		"out.jsonl":                         "chunkline dead list -o out.jsonl",
		"my out.jsonl":                      "chunkline dead list -o 'my out.jsonl'",
		"it's":                              `chunkline dead list -o 'it'\''s'`,
		"-":                                 "chunkline dead list -o work",
		"sqlite:app.db?table=people&key=id": "chunkline dead list -o 'sqlite:app.db?table=people&key=id' --job other",
		"postgres://me@db/app?table=people&columns=id": "chunkline dead list -o 'postgres://me@db/app?table=people&columns=id' --job other",
		"s3://data/out":                 "chunkline dead list -o s3://data/out --job other",
		"postgres://me:secret@db/app":   "chunkline dead list -o OUTPUT --job other (OUTPUT is the --output of this command, with its password)",
		"postgres://db/app?password=me": "chunkline dead list -o OUTPUT --job other (OUTPUT is the --output of this command, with its password)",
	} {
		if got := (&runFlags{output: output, job: "other", work: "work"}).listing(); got != want {
			t.Errorf("with --output %s the hint is %s, want %s", output, got, want)
		}
	}
}
