package sink_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// TestOutputElsewhere: the ordered files go to the configured paths, also when these change between two runs. They
// replace the target of a link, not the link.
func TestOutputElsewhere(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dir := filepath.Join(home, "sink")
	target, link, dead := filepath.Join(home, "target.jsonl"), filepath.Join(home, "link.jsonl"), filepath.Join(home, "dead.jsonl")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	all := sinktest.Chain("", []int{1, -1}, []int{1})
	f := openClaimed(t, dir, sink.FolderOptions{Output: link, DeadFile: dead})
	commit(t, f, all...)
	if sum := finish(t, f, all...); sum.Output != target || sum.DeadFile != dead {
		t.Fatalf("merged in %s and %s, want %s and %s", sum.Output, sum.DeadFile, target, dead)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Fatalf("the link is replaced (%v)", err)
	}
	closeIt(t, f)
	f = openClaimed(t, dir, sink.FolderOptions{})
	if sum := finish(t, f, all...); sum.Output != filepath.Join(dir, "output.jsonl") {
		t.Fatalf("merged in %s", sum.Output)
	}
	closeIt(t, f)
}

// TestOutputThroughALink: the output cannot replace the sink's own files, even through a link.
func TestOutputThroughALink(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dir, link := filepath.Join(home, "sink"), filepath.Join(home, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	closeIt(t, openClaimed(t, dir, sink.FolderOptions{}))
	for _, via := range []string{dir, link} {
		for _, name := range []string{"log-00000", "log-00000.new", "log-00042", "log.index"} {
			for _, open := range []string{dir, link} {
				o := sink.FolderOptions{Output: filepath.Join(via, name)}
				if _, err := sink.OpenFolder(open, job, o); !errors.Is(err, sink.ErrSettings) {
					t.Errorf("open %s with output %s: %v, want ErrSettings", open, o.Output, err)
				}
			}
		}
	}
}

// TestFinishedIsNotDoneAgain: the second Finish writes nothing, as its steps show.
func TestFinishedIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	disk := newTestFS()
	f := openOn(t, disk, filepath.Join(t.TempDir(), "sink"), sink.FolderOptions{})
	claim(t, f)
	all := sinktest.Chain("", []int{1, -1}, []int{1})
	commit(t, f, all...)
	finish(t, f, all...)
	disk.after = func(s step) { t.Errorf("the second finish does %s %s", s.op, s.path) }
	finish(t, f, all...)
	disk.after = func(step) {}
}

// TestOutputFolderGoes: an output that cannot be written does not affect committed results.
func TestOutputFolderGoes(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	out := filepath.Join(home, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	f := openClaimed(t, filepath.Join(home, "sink"), sink.FolderOptions{Output: filepath.Join(out, "o.jsonl")})
	all := sinktest.Chain("", []int{1})
	commit(t, f, all...)
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Finish(t.Context(), 1, 1); err == nil || errors.Is(err, sink.ErrBroken) {
		t.Fatalf("finish: %v, want an error that breaks nothing", err)
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	finish(t, f, all...)
}

// TestFinishFindsDamage: data that was damaged since the folder was opened is not copied into the output.
func TestFinishFindsDamage(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openClaimed(t, dir, sink.FolderOptions{})
	all := []sink.Result{big(0, 0, 3*sink.BufferSize), big(1, 1, 10)}
	commit(t, f, all...)
	patch(t, filepath.Join(dir, "log-00000"), 2*sink.BufferSize, 'X')
	if _, err := f.Finish(t.Context(), 2, 2); !errors.Is(err, sink.ErrDamaged) || !errors.Is(err, sink.ErrBroken) {
		t.Fatalf("finish: %v, want ErrDamaged", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "output.jsonl*")); err != nil || len(left) > 0 {
		t.Errorf("%v is there (%v)", left, err)
	}
}

// TestFinishBesideCommits: results that are committed during the merge are not silently missing from it.
func TestFinishBesideCommits(t *testing.T) {
	t.Parallel()
	disk := newTestFS()
	f := openOn(t, disk, filepath.Join(t.TempDir(), "sink"), sink.FolderOptions{})
	claim(t, f)
	all := sinktest.Chain("", []int{1, -1}, []int{1})
	mended := sinktest.Result(0, 0, "mended", 1, 1)
	commit(t, f, all...)
	disk.after = func(s step) {
		if s.op != "rename" {
			return
		}
		disk.after = func(step) {}
		if err := sinktest.Replace(t, f, mended); err != nil {
			t.Error(err)
		}
	}
	finish(t, f, mended, all[1])
}

// TestReplace replaces a chunk's result.
func TestReplace(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	o := sink.FolderOptions{PartBytes: 200}
	f := openClaimed(t, dir, o)
	all := sinktest.Chain("first", []int{1, -1, 1}, []int{-1}, []int{1})
	commit(t, f, all...)
	finish(t, f, all...)

	all[0] = sinktest.Result(0, 0, "mended", 1, 2, 1)
	all[0].Attempt = 7
	all[1] = sinktest.Result(1, 3, "mended", 1)
	for i := range 2 {
		if err := sinktest.Replace(t, f, all[i]); err != nil {
			t.Fatal(err)
		}
	}
	if f.Summary().Output != "" {
		t.Error("the old merge still counts as finished")
	}
	want(t, f, all...)
	closeIt(t, f)
	f = openClaimed(t, dir, o) // reads and checks everything, except garbage
	want(t, f, all...)
	if sum := finish(t, f, all...); sum.DeadFile != "" {
		t.Errorf("got dead letters in %s, want none", sum.DeadFile)
	}
	if _, err := os.Stat(filepath.Join(dir, "dead.jsonl")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old dead letters are still merged (%v)", err)
	}

	other := all[2]
	other.Digest = sinktest.Digest(2, "changed")
	if err := sinktest.Replace(t, f, other); !errors.Is(err, sink.ErrConflict) {
		t.Errorf("replace by a result of another source: %v, want ErrConflict", err)
	}
	if err := sinktest.Replace(t, f, sinktest.Result(9, 9, "", 1)); !errors.Is(err, sink.ErrNoChunk) {
		t.Errorf("replace of nothing: %v, want ErrNoChunk", err)
	}
	if _, err := f.Look(t.Context(), 9); !errors.Is(err, sink.ErrNoChunk) {
		t.Errorf("look at nothing: %v, want ErrNoChunk", err)
	}
	if r, err := f.Look(t.Context(), 0); err != nil || len(r) != 1 || r[0].Attempt != 7 {
		t.Errorf("chunk 0 is %+v, %v", r, err)
	}
	finish(t, f, all...) // nothing has changed
}

// TestReplaceAtEveryStep: a crash leaves the old result or the new one.
func TestReplaceAtEveryStep(t *testing.T) {
	t.Parallel()
	home, copies := t.TempDir(), t.TempDir()
	dir := filepath.Join(home, "sink")
	disk := newCrashFS(t, home)
	f := openOn(t, disk, dir, sink.FolderOptions{})
	claim(t, f)
	old := sinktest.Chain("old", []int{1, -1}, []int{-1})
	mended := sinktest.Result(0, 0, "mended", 1, 1)
	commit(t, f, old...)
	n := 0
	disk.after = func(s step) {
		for _, dice := range certain {
			to := filepath.Join(copies, string(rune('a'+n)))
			n++
			disk.platter.crash(t, to, dice)
			g := openOn(t, sink.Disk{}, filepath.Join(to, "sink"), sink.FolderOptions{})
			if s.op == "sync" || s.op == "write" && compare(t, g, old...) != "" {
				want(t, g, mended, old[1])
			} else {
				want(t, g, old...)
			}
			closeIt(t, g)
		}
	}
	if err := sinktest.Replace(t, f, mended); err != nil {
		t.Fatal(err)
	}
	disk.after = func(step) {}
	if n < 3*3 {
		t.Errorf("only %d moments", n)
	}
}

// TestRecordsInPages: more records than fit a page, and a reader that stops.
func TestRecordsInPages(t *testing.T) {
	t.Parallel()
	f := openClaimed(t, filepath.Join(t.TempDir(), "sink"), sink.FolderOptions{})
	var all []sink.Result
	for id := range 2500 {
		all = append(all, sinktest.Result(chunk.ID(3*id), uint64(id), "", 1))
	}
	commit(t, f, all...)
	want(t, f, all...)
	n := 0
	for r, err := range f.Records(t.Context()) {
		if err != nil || r.Chunk != chunk.ID(3*n) {
			t.Fatalf("record %d is of chunk %d, %v", n, r.Chunk, err)
		}
		if n++; n == 1030 {
			break
		}
	}
	commit(t, f, sinktest.Result(1, 1<<40, "", 1)) // no lock was left behind
}
