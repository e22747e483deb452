package sink_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// failing counts the steps that match and makes one of them fail.
type failing struct {
	match func(step) bool
	at    int // the step that fails, from 1
	err   func(step) error
	seen  int
}

func (x *failing) before(s step) error {
	if !x.match(s) {
		return nil
	}
	if x.seen++; x.seen != x.at {
		return nil
	}
	return x.err(s)
}

// hit reports whether the fault has occurred.
func (x *failing) hit() bool { return x.seen >= x.at }

func takesSpace(s step) bool {
	return (s.op == "write" || s.op == "create" || s.op == "mkdir") && !isIndex(s)
}

func noSpace(s step) error {
	return &fs.PathError{Op: s.op, Path: s.path, Err: syscall.ENOSPC}
}

// wide is a story whose groups also exceed the write buffer.
func wide() story {
	s := newStory()
	first, id := uint64(12), s.all[len(s.all)-1].Chunk+1
	var group []sink.Result
	for _, n := range []int{sink.BufferSize / 3, sink.BufferSize / 3, sink.BufferSize / 3, 10, sink.BufferSize, 20} {
		r := big(id, first, n)
		id++
		first++
		group, s.all = append(group, r), append(s.all, r)
	}
	s.groups = append(s.groups, group)
	s.o.PartBytes = 1 << 20
	return s
}

// TestFullAtEveryStep makes the disk full at every step that takes space, in turn. The call returns ErrFull and changes
// nothing, and succeeds when it is repeated.
func TestFullAtEveryStep(t *testing.T) {
	t.Parallel()
	errs := map[string]func(step) error{
		"no space": noSpace,
		"quota":    func(s step) error { return &fs.PathError{Op: "write", Path: s.path, Err: syscall.EDQUOT} },
		"short":    func(step) error { return errShort },
		"silent":   func(step) error { return errSilent },
	}
	matches := map[string]func(step) bool{
		"no space": takesSpace,
		"quota":    takesSpace,
		"short":    ops("write"),
		"silent":   ops("write"),
	}
	table := newStory()
	table.output = "output.parquet"
	for name, s := range map[string]story{"small": newStory(), "table": table, "wide": wide()} {
		for kind, err := range errs {
			if name != "small" && (kind == "quota" || kind == "silent") {
				continue // covered by the other cases, and as slow
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				steps := 0
				for at := 1; ; at++ {
					x := &failing{match: matches[kind], at: at, err: err}
					s.liveThrough(t, x)
					if !x.hit() {
						break
					}
					steps++
				}
				if steps < 8 {
					t.Errorf("only %d steps could fail", steps)
				}
			})
		}
	}
}

// liveThrough runs the story on a disk with one fault; a call that returns ErrFull is repeated once.
func (s story) liveThrough(t *testing.T, x *failing) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sink")
	disk := newTestFS()
	disk.before = x.before
	complaints := 0
	full := func(err error) bool {
		t.Helper()
		if err == nil {
			return false
		}
		if complaints++; !errors.Is(err, sink.ErrFull) || errors.Is(err, sink.ErrBroken) || !x.hit() || complaints > 1 {
			t.Fatalf("at step %d: %v, want ErrFull once", x.at, err)
		}
		if !strings.Contains(err.Error(), dir) {
			t.Fatalf("%v does not name the folder", err)
		}
		return true
	}
	f, err := sink.OpenFolderOn(disk, dir, job, s.in(dir))
	if full(err) {
		f, err = sink.OpenFolderOn(disk, dir, job, s.in(dir))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Claim(t.Context(), plan, "fetcher"); full(err) {
		if _, bound := f.Plan(); bound || f.Epoch() != 0 {
			t.Fatal("a claim that failed has an effect")
		}
		claim(t, f)
	}
	for i, g := range s.groups {
		before := logBytes(t, dir)
		if _, err := f.Commit(t.Context(), g); full(err) {
			want(t, f, s.upTo(i)...)
			if size := logBytes(t, dir); size != before {
				t.Fatalf("the log has %d bytes after a group that was taken back, %d before", size, before)
			}
			commit(t, f, g...)
		}
	}
	sum, outputs, dead := sinktest.Expect(s.all...)
	got, err := f.Finish(t.Context(), sum.Chunks, sum.Objects)
	if full(err) {
		if left, _ := filepath.Glob(filepath.Join(dir, "*.new-*")); len(left) > 0 {
			t.Fatalf("%v was left behind and takes space", left)
		}
		finish(t, f, s.all...)
	} else {
		wantFile(t, got.Output, sinktest.Content(got.Output, outputs))
		wantFile(t, got.DeadFile, dead)
	}
	want(t, f, s.all...)
	closeIt(t, f)
	f = openOn(t, sink.Disk{}, dir, s.in(dir))
	if got := f.Recovered(); got != 0 {
		t.Fatalf("at step %d: something was left behind: %+v", x.at, got)
	}
	want(t, f, s.all...)
	closeIt(t, f)
}

// logBytes returns the size of all parts. On a full disk, a failed write must free its space.
func logBytes(t *testing.T, dir string) (size int64) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, "log-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// TestFullForLong: the disk stays full for many calls, then has space again.
func TestFullForLong(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"write", "create"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			disk := newTestFS()
			f := openOn(t, disk, filepath.Join(t.TempDir(), "sink"), sink.FolderOptions{PartBytes: 1})
			claim(t, f)
			all := sinktest.Chain("", []int{1, -1}, []int{2})
			commit(t, f, all[0])
			fail := true
			disk.before = func(s step) error {
				if fail && s.op == op {
					return noSpace(s)
				}
				return nil
			}
			for range 20 {
				if _, err := f.Commit(t.Context(), all); !errors.Is(err, sink.ErrFull) || !strings.Contains(err.Error(), " bytes are free in ") {
					t.Fatalf("commit: %v, want ErrFull", err)
				}
				// Calls that need no space still work.
				outcomes, err := f.Commit(t.Context(), all[:1])
				if err != nil || outcomes[0] != sink.Duplicate {
					t.Fatalf("duplicate on a full disk: %v, %v", outcomes, err)
				}
				want(t, f, all[0])
			}
			fail = false
			commit(t, f, all[1])
			finish(t, f, all...)
		})
	}
}

// TestUndoFails: a failed write cannot be undone, so the state on disk is unknown.
func TestUndoFails(t *testing.T) {
	t.Parallel()
	disk := newTestFS()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openOn(t, disk, dir, sink.FolderOptions{})
	claim(t, f)
	all := sinktest.Chain("", []int{1}, []int{1})
	commit(t, f, all[0])
	disk.before = func(s step) error {
		switch s.op {
		case "write":
			return errShort
		case "truncate":
			return &fs.PathError{Op: s.op, Path: s.path, Err: syscall.EIO}
		}
		return nil
	}
	_, err := f.Commit(t.Context(), all[1:])
	if !errors.Is(err, sink.ErrBroken) || errors.Is(err, sink.ErrFull) && !errors.Is(err, syscall.EIO) {
		t.Fatalf("commit: %v, want ErrBroken", err)
	}
	closeIt(t, f)
	f = openOn(t, sink.Disk{}, dir, sink.FolderOptions{})
	if got := f.Recovered(); got == 0 {
		t.Fatal("nothing was recovered, want the bytes of the short write")
	}
	want(t, f, all[0])
}
