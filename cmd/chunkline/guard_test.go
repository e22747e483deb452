package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunLeavesFilesAlone: run refuses to replace a file that is not the job's with
// outputs or dead letters, and leaves it unchanged. It refuses to replace an input, by
// any of its names, even with --force.
func TestRunLeavesFilesAlone(t *testing.T) {
	t.Parallel()
	objects, values := numbers(250)
	for name, c := range map[string]struct {
		in, out, theirs string // theirs is an existing file
		input           bool   // theirs is an input
	}{
		"input is the output":       {"in.jsonl", "in.jsonl", "in.jsonl", true},
		"input is the dead letters": {"x.dead.jsonl", "x.jsonl", "x.dead.jsonl", true},
		"input by another path":     {"a/../in.jsonl", "in.jsonl", "in.jsonl", true},
		"input through a link":      {"link", "in.jsonl", "in.jsonl", true},
		"input by its other name":   {"hard", "in.jsonl", "in.jsonl", true},
		"a stranger's output":       {"other.jsonl", "out.jsonl", "out.jsonl", false},
		"a stranger's dead letters": {"other.jsonl", "out.jsonl", "out.dead.jsonl", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			theirs := write(t, filepath.Join(dir, c.theirs), objects)
			write(t, filepath.Join(dir, "other.jsonl"), objects)
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "a"), 0o777), os.Symlink(theirs, filepath.Join(dir, "link")), os.Link(theirs, filepath.Join(dir, "hard"))); err != nil {
				t.Fatal(err)
			}
			args := []string{"run", "-i", dir + "/" + c.in, "-o", filepath.Join(dir, c.out), "-m", ".n"}
			says := theirs + " exists, and this job did not write it"
			if c.input {
				says = "the job itself writes this file"
				wantWords(t, must(t, 2, append(args, "--force")...).err.Error(), says)
			}
			wantWords(t, must(t, 2, args...).err.Error(), says)
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

// TestRunOutputInGlob: files that a job writes are not among its inputs, nor in a second run.
func TestRunOutputInGlob(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, values := numbers(250)
	write(t, filepath.Join(dir, "in.jsonl"), objects)
	out := filepath.Join(dir, "out.jsonl")
	for range 2 {
		must(t, 0, "run", "-i", filepath.Join(dir, "**"), "-o", out, "-m", ".n")
		wantFile(t, out, values)
	}
	must(t, 0, "verify", "-o", out, "-i", filepath.Join(dir, "*.jsonl"))
	only := filepath.Join(t.TempDir(), "only.jsonl")
	write(t, only, objects)
	wantWords(t, must(t, 2, "run", "-i", filepath.Join(filepath.Dir(only), "*"), "-o", only, "-m", ".n").err.Error(), "only files that the job itself writes")
}

// TestVerifyElsewhere: verify checks the output that -o names, wherever the job wrote it.
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

// TestRunChangedTransform: a job that was begun with another transform continues only with
// a flag that says what to do with its results.
func TestRunChangedTransform(t *testing.T) {
	t.Parallel()
	const n = 40
	objects, _ := numbers(n)
	script := func(dir, sign string) string {
		path := write(t, filepath.Join(dir, "v.sh"), "#!/bin/sh\nexec sed -u 's/[^0-9]//g; s/^/"+sign+"/; s/^-7$/!seven/'\n")
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	outputs := func(sign, seven string) string {
		var text strings.Builder
		for i := range n {
			if i == 7 {
				text.WriteString(seven)
				continue
			}
			fmt.Fprintf(&text, "%s%d\n", sign, i)
		}
		return text.String()
	}
	for flag, want := range map[string]string{
		"":                outputs("-", ""),
		"--accept-change": outputs("-", "1007\n"),
		"--redo":          outputs("100", "1007\n"),
	} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			in, out := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "out")
			args := []string{"run", "-i", in, "-o", out, "--exec", script(dir, "-"), "--chunk-size", "10"}
			must(t, 4, args...)
			wantFile(t, out, outputs("-", ""))
			script(dir, "100")
			wantWords(t, must(t, 2, args...).err.Error(), "begun with the transform exec:", "--accept-change", "--redo", "choose another --output")
			if flag != "" {
				args = append(args, flag)
				must(t, 0, args...)
				must(t, 0, args[:len(args)-1]...) // now it is the job's transform
				r := must(t, 0, "verify", "-o", out)
				if both := strings.Count(r.stdout, "version exec:"); (both == 2) != (flag == "--accept-change") {
					t.Errorf("with %s verify says %q", flag, r.stdout)
				}
			}
			wantFile(t, out, want)
			if flag == "--accept-change" { // the results of before can still be made again
				must(t, 0, append(args[:len(args)-1], "--redo")...)
				wantFile(t, out, outputs("100", "1007\n"))
			}
		})
	}
}

// TestRunMendedProgram: a job that was stopped by its dead letters continues with a fixed
// program by one command, even after dead retry.
func TestRunMendedProgram(t *testing.T) {
	t.Parallel()
	objects, values := numbers(40)
	for name, between := range map[string][]string{"run": nil, "dead retry": {"dead", "retry", "-m", ".n", "-o"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			in, out := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "out")
			args := []string{"run", "-i", in, "-o", out, "--chunk-size", "1", "-j", "1", "-m"}
			must(t, 1, append(args, "if .n == 3 then error else .n end", "--max-dead", "0")...)
			if between != nil {
				must(t, 0, append(between, out)...)
				must(t, 0, append(args, ".n")...)
			} else {
				must(t, 0, append(args, ".n", "--accept-change")...)
			}
			wantFile(t, out, values)
		})
	}
}
