package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/verify"
)

// TestDead: list, mend, retry, list.
func TestDead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "1\n\"x\"\noops\n[3]\n4\n"), filepath.Join(dir, "out.jsonl")
	must(t, 4, "run", "-i", in, "-o", out, "-m", ".+1")
	wantFile(t, out, "2\n5\n")
	ordinals := func() (list []uint64) {
		t.Helper()
		for line := range strings.Lines(must(t, 0, "dead", "list", "-o", out).stdout) {
			l, err := chunk.ParseDeadLetter([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, l.Ordinal)
		}
		return list
	}
	wantOrdinals := func(want ...uint64) {
		t.Helper()
		got := ordinals()
		if len(got) != len(want) {
			t.Fatalf("dead letters %d, want %d", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("dead letters %d, want %d", got, want)
			}
		}
	}
	wantOrdinals(1, 2, 3)

	r := must(t, 4, "dead", "retry", "-o", out, "-m", "if type == \"array\" then error(\"no\") else length end")
	wantWords(t, r.stdout, "1 mapped, 1 failed again, 1 that no transform can read")
	wantOrdinals(2, 3)
	wantFile(t, out, "2\n1\n5\n")

	r = must(t, 4, "dead", "retry", "-o", out, "-t", "identity", "--json")
	var got map[string]any
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got["mapped"] != 1.0 || got["failed"] != 0.0 || got["unreadable"] != 1.0 || got["merged"] != true {
		t.Errorf("report %s", r.stdout)
	}
	wantOrdinals(2)
	wantFile(t, out, "2\n1\n[3]\n5\n")
	must(t, 0, "verify", "-o", out)

	r = must(t, 4, "run", "-i", in, "-o", out, "-m", ".+1") // the job is done, and stays unchanged
	wantWords(t, r.stderr, "5 of them were done before")
	wantFile(t, out, "2\n1\n[3]\n5\n")
}

// TestDeadGone: when all dead letters are mapped, the output is complete and the list is empty.
func TestDeadGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "1\n2\n"), filepath.Join(dir, "out.jsonl")
	must(t, 4, "run", "-i", in, "-o", out, "-m", "error")
	must(t, 0, "dead", "retry", "-o", out, "-m", ".", "--rate", "1000")
	wantFile(t, out, "1\n2\n")
	if r := must(t, 0, "dead", "list", "-o", out); r.stdout != "" {
		t.Errorf("dead letters %q", r.stdout)
	}
}

// TestDeadRetryStopped: a retry that is stopped can be continued with the same command.
func TestDeadRetryStopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "1\n2\n"), filepath.Join(dir, "out.jsonl")
	must(t, 4, "run", "-i", in, "-o", out, "-m", "error")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := chunklineWith(ctx, strings.NewReader(""), "dead", "retry", "-o", out, "-m", ".")
	r.want(t, 130)
	wantWords(t, r.stdout, "0 mapped")
	wantWords(t, r.err.Error(), "run the same command again")
	must(t, 0, "dead", "retry", "-o", out, "-m", ".")
	must(t, 0, "verify", "-o", out)
}

// TestDeadRetryUnfinished: a retry in an unfinished job says that the output file is not up to date.
func TestDeadRetryUnfinished(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "1\n2\n3\n"), filepath.Join(dir, "out.jsonl")
	args := []string{"run", "-i", in, "-o", out, "-m", "if . == 1 then error else . end", "--chunk-size", "1"}
	must(t, 1, append(args, "--max-dead", "0", "-j", "1")...)
	r := must(t, 0, "dead", "retry", "-o", out, "-m", ".")
	wantWords(t, r.stdout, "1 mapped", "not up to date", "run the job's own command")
	must(t, 0, args...)
	wantFile(t, out, "1\n2\n3\n")
	must(t, 0, "verify", "-o", out)
}

func TestDeadRefuses(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	for want, args := range map[string][]string{
		"--output is not set":               {"list"},
		"neither a folder":                  {"list", "-o", out},
		"--workers=0":                       {"retry", "-o", out, "-m", ".", "-j", "0"},
		"--timeout=-1s":                     {"retry", "-o", out, "-m", ".", "--timeout", "-1s"},
		"--rate=-1: use 0 (no limit)":       {"retry", "-o", out, "-m", ".", "--rate", "-1"},
		"--rate=+Inf: use 0 (no limit)":     {"retry", "-o", out, "-m", ".", "--rate", "inf"},
		"one of --map":                      {"retry", "-o", out},
		"neither a folder of that name nor": {"retry", "-o", out, "-m", "."},
	} {
		wantWords(t, must(t, 2, append([]string{"dead"}, args...)...).err.Error(), want)
	}
}

// TestVerify: verify accepts an output or a saver's folder, and a source that was moved. It
// exits with 1 if it finds problems.
func TestVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "1\n2\n"), filepath.Join(dir, "out")
	must(t, 0, "run", "-i", in, "-o", out, "-m", ".")
	moved := write(t, filepath.Join(dir, "moved"), "1\n2\n")
	other := write(t, filepath.Join(dir, "other"), "1\n3\n")
	for _, where := range []string{out, workFolder(out)} { // the second is a saver's folder
		must(t, 0, "verify", "-o", where)
		must(t, 0, "verify", "-o", where, "-i", moved)
		r := must(t, 1, "verify", "-o", where, "-i", other)
		wantWords(t, r.stdout, "wrong: chunk 0: the sink has digest", "1 problems")
		wantWords(t, r.err.Error(), "verify: 1 problems")
	}
	r := must(t, 1, "verify", "-o", out, "-i", other, "--json")
	var got verify.Report
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.Failures != 1 || len(got.Problems) != 1 || got.Objects != 2 || got.OutputFile != out {
		t.Errorf("report %s: %v", r.stdout, err)
	}
	piped := filepath.Join(dir, "piped")
	chunklineWith(t.Context(), strings.NewReader("1\n2\n"), "run", "-o", piped, "-m", ".").want(t, 0)
	must(t, 0, "verify", "-o", piped) // run has kept its standard input
	if err := os.Remove(filepath.Join(workFolder(piped), spoolFile)); err != nil {
		t.Fatal(err)
	}
	r = must(t, 2, "verify", "-o", piped)
	wantWords(t, r.err.Error(), "the source was stdin, which", "give it again with -i")
	if r.stdout != "" {
		t.Errorf("printed %q beside it", r.stdout)
	}
	must(t, 0, "verify", "-o", piped, "-i", in)
	chunklineWith(t.Context(), strings.NewReader("1\n2\n"), "verify", "-o", piped, "-i", "-").want(t, 0)
	wantWords(t, must(t, 2, "verify").err.Error(), "--output is not set")
	wantWords(t, must(t, 2, "verify", "-o", out, "-i", filepath.Join(dir, "gone")).err.Error(), "--input", "gone")
}

// TestVerifyNothing: verify fails for a folder without a job.
func TestVerifyNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	f, err := sink.OpenFolder(dir, "job", sink.FolderOptions{})
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	wantWords(t, must(t, 1, "verify", "-o", dir).err.Error(), "no job has begun")
}
