package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRunLeavesFilesAlone: what lies where outputs or dead letters would go, and
// is not the job's, is refused and stays as it is.
func TestRunLeavesFilesAlone(t *testing.T) {
	t.Parallel()
	objects, values := numbers(250)
	for name, c := range map[string]struct {
		in, out, theirs string
	}{
		"input is the output":       {"in.jsonl", "in.jsonl", "in.jsonl"},
		"input is the dead letters": {"x.dead.jsonl", "x.jsonl", "x.dead.jsonl"},
		"a stranger's output":       {"in.jsonl", "out.jsonl", "out.jsonl"},
		"a stranger's dead letters": {"in.jsonl", "out.jsonl", "out.dead.jsonl"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			theirs := write(t, filepath.Join(dir, c.theirs), objects)
			if c.in != c.theirs {
				write(t, filepath.Join(dir, c.in), objects)
			}
			args := []string{"run", "-i", filepath.Join(dir, c.in), "-o", filepath.Join(dir, c.out), "-m", ".n"}
			wantWords(t, must(t, 2, args...).err.Error(), theirs+" exists, and this job did not write it", "--force")
			wantFile(t, theirs, objects)
			if _, err := os.Stat(workFolder(filepath.Join(dir, c.out))); !os.IsNotExist(err) {
				t.Errorf("a refused job made its folder (%v)", err)
			}
		})
	}
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), objects), write(t, filepath.Join(dir, "out"), "mine")
	strange := write(t, out+".new", "mine")
	args := []string{"run", "-i", in, "-o", out, "-m", ".n"}
	must(t, 0, append(args, "--force")...)
	wantFile(t, out, values)
	wantFile(t, strange, "mine")
	must(t, 0, args...)
	write(t, out, values+"# checked by me\n")
	wantWords(t, must(t, 2, args...).err.Error(), "changed after this job wrote it")
}

// TestVerifyElsewhere: verify looks at the output that -o names, wherever the job wrote it.
func TestVerifyElsewhere(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dir := filepath.Join(home, "here")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	objects, _ := numbers(250)
	in := write(t, filepath.Join(home, "in"), objects)
	must(t, 0, "run", "-i", in, "-o", filepath.Join(dir, "a"), "-m", ".n")
	if err := os.CopyFS(workFolder(filepath.Join(dir, "b")), os.DirFS(workFolder(filepath.Join(dir, "a")))); err != nil {
		t.Fatal(err)
	}
	b := write(t, filepath.Join(dir, "b"), "")
	wantWords(t, must(t, 1, "verify", "-o", b).stdout, "1 problems")
	moved := filepath.Join(home, "there")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	must(t, 0, "verify", "-o", filepath.Join(moved, "a"))
	write(t, filepath.Join(moved, "a"), "")
	must(t, 1, "verify", "-o", filepath.Join(moved, "a"))
}
