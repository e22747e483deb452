package sink_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

const theirs = "written by another program\n"

// write creates a file that is not the job's.
func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestForeignOutput: an existing file at the result's path that is not the job's is refused before anything is created,
// and left unchanged; with Force it is replaced.
func TestForeignOutput(t *testing.T) {
	t.Parallel()
	all := sinktest.Chain("", []int{1, -1}, []int{1})
	for _, name := range []string{"out.jsonl", "dead.jsonl"} {
		home := t.TempDir()
		dir := filepath.Join(home, "sink")
		o := sink.FolderOptions{Output: filepath.Join(home, "out.jsonl"), DeadFile: filepath.Join(home, "dead.jsonl")}
		path := filepath.Join(home, name)
		write(t, path)
		if _, err := sink.OpenFolder(dir, job, o); !errors.Is(err, sink.ErrForeign) {
			t.Errorf("open beside a foreign %s: %v, want ErrForeign", name, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a refused folder was created (%v)", err)
		}
		wantFile(t, path, []byte(theirs))
		o.Force = true
		f := openClaimed(t, dir, o)
		commit(t, f, all...)
		finish(t, f, all...)
		closeIt(t, f)
		o.Force = false
		f = openClaimed(t, dir, o) // it is the job's now
		closeIt(t, f)
	}
}

// TestForeignOutputComes: a file that another program creates at the result's path while the job runs stays, and so
// does a foreign file of dead letters when the job has none.
func TestForeignOutputComes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	all := sinktest.Chain("", []int{1}, []int{1})
	output, dead := filepath.Join(dir, "output.jsonl"), filepath.Join(dir, "dead.jsonl")
	disk := newTestFS()
	f := openOn(t, disk, dir, sink.FolderOptions{})
	claim(t, f)
	commit(t, f, all...)
	refused := func() {
		t.Helper()
		if _, err := f.Finish(t.Context(), 2, 2); !errors.Is(err, sink.ErrForeign) || errors.Is(err, sink.ErrBroken) {
			t.Fatalf("finish: %v, want ErrForeign, and a folder that works", err)
		}
		wantFile(t, output, []byte(theirs))
		if left, err := filepath.Glob(output + ".new-*"); err != nil || len(left) > 0 {
			t.Errorf("%v is left (%v)", left, err)
		}
	}
	write(t, dead)
	write(t, output)
	refused()
	if err := os.Remove(output); err != nil {
		t.Fatal(err)
	}
	disk.after = func(s step) { // when everything is written and recorded, just before the rename
		if s.op == "sync" && filepath.Base(s.path) == "log-00000" {
			disk.after = func(step) {}
			write(t, output)
		}
	}
	refused()
	if err := os.Remove(output); err != nil {
		t.Fatal(err)
	}
	finish(t, f, all...)
	wantFile(t, dead, []byte(theirs))
	closeIt(t, f)
}

// TestModeAndOwnerStay: the new output of a repeated job gets the mode and owner of the file that it replaces; a
// read-only file is refused, also with Force.
func TestModeAndOwnerStay(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	output := filepath.Join(dir, "output.jsonl")
	all := sinktest.Chain("old", []int{1}, []int{1})
	f := openClaimed(t, dir, sink.FolderOptions{})
	commit(t, f, all...)
	finish(t, f, all...)
	if err := os.Chmod(output, 0o604); err != nil {
		t.Fatal(err)
	}
	owner := os.Getuid()
	if owner == 0 {
		owner = 4242
		if err := os.Chown(output, owner, 4343); err != nil {
			t.Fatal(err)
		}
	}
	all[0] = sinktest.Result(0, 0, "new", 1)
	if err := sinktest.Replace(t, f, all[0]); err != nil {
		t.Fatal(err)
	}
	finish(t, f, all...)
	info, err := os.Stat(output)
	if err != nil {
		t.Fatal(err)
	}
	if has := int(info.Sys().(*syscall.Stat_t).Uid); info.Mode() != 0o604 || has != owner {
		t.Errorf("the new output has mode %v and owner %d, the old one had %v and %d", info.Mode(), has, os.FileMode(0o604), owner)
	}
	closeIt(t, f)
	if err := os.Chmod(output, 0o444); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		if _, err := sink.OpenFolder(dir, job, sink.FolderOptions{Force: force}); !errors.Is(err, sink.ErrSettings) {
			t.Errorf("open with a read-only output, force %v: %v, want ErrSettings", force, err)
		}
	}
}

// TestFolderMoves: a folder and its output may be moved together; under another output name the job is not finished.
func TestFolderMoves(t *testing.T) {
	t.Parallel()
	here, there := t.TempDir(), filepath.Join(t.TempDir(), "there")
	all := sinktest.Chain("", []int{1, -1}, []int{1})
	at := func(home, name string, readOnly bool) (string, sink.FolderOptions) {
		return filepath.Join(home, "a.work"), sink.FolderOptions{
			Output: filepath.Join(home, name), DeadFile: filepath.Join(home, "dead."+name), ReadOnly: readOnly,
		}
	}
	dir, o := at(here, "a.jsonl", false)
	f := openClaimed(t, dir, o)
	commit(t, f, all...)
	finish(t, f, all...)
	closeIt(t, f)
	if err := os.Rename(here, there); err != nil {
		t.Fatal(err)
	}
	for name, finished := range map[string]bool{"a.jsonl": true, "b.jsonl": false} {
		dir, o := at(there, name, true)
		f, err := sink.OpenFolder(dir, job, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Summary().Output; (got != "") != finished {
			t.Errorf("with output %s the summary names %q", name, got)
		}
		closeIt(t, f)
	}
	dir, o = at(there, "a.jsonl", false)
	f = openClaimed(t, dir, o)
	finish(t, f, all...)
	closeIt(t, f)
}
