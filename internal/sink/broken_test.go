package sink_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

func ioError(s step) error { return &fs.PathError{Op: s.op, Path: s.path, Err: syscall.EIO} }

// TestFailedStepBreaksTheFolder makes every sync and every write fail once, with a permanent error. The failing call
// reports that the folder is broken, and so do all later calls. Earlier commits are still there.
func TestFailedStepBreaksTheFolder(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]failing{
		"sync":        {match: ops("sync"), err: ioError},
		"sync, full":  {match: ops("sync"), err: func(s step) error { return &fs.PathError{Op: "sync", Path: s.path, Err: syscall.ENOSPC} }},
		"folder sync": {match: ops("syncdir"), err: ioError},
		"write":       {match: ops("write"), err: ioError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory()
			for at := 1; ; at++ {
				x := x
				x.at = at
				s.breakAt(t, &x)
				if !x.hit() {
					if at < 3 {
						t.Errorf("only %d steps could fail", at-1)
					}
					return
				}
			}
		})
	}
}

// ops matches the steps of one kind, except those of the index, which may fail: see TestIndexFails.
func ops(op string) func(step) bool {
	return func(s step) bool { return s.op == op && !isIndex(s) }
}

func isIndex(s step) bool { return filepath.Base(s.path) == "log.index" }

func (s story) breakAt(t *testing.T, x *failing) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sink")
	disk := newTestFS()
	disk.before = x.before
	groups := 0
	hit := false // before Close, which may fail silently
	err := func() error {
		f, err := sink.OpenFolderOn(disk, dir, job, s.o)
		if err != nil {
			hit = x.hit()
			return err
		}
		defer f.Close()
		_, err = f.Claim(t.Context(), plan, "fetcher")
		for ; err == nil && groups < len(s.groups); groups++ {
			if _, err = f.Commit(t.Context(), s.groups[groups]); err != nil {
				break
			}
		}
		sum, _, _ := sinktest.Expect(s.all...)
		if err == nil {
			_, err = f.Finish(t.Context(), sum.Chunks, sum.Objects)
		}
		if err != nil {
			s.wantBroken(t, f, err)
		}
		hit = x.hit()
		return err
	}()
	switch {
	case err == nil && hit:
		t.Fatalf("step %d failed, but no call returned an error", x.at)
	case err != nil && (errors.Is(err, sink.ErrFull) || !hit):
		t.Fatalf("step %d: %v, want an error that is not ErrFull", x.at, err)
	}
	f := openOn(t, newTestFS(), dir, s.o)
	known := confirmed{groups: groups, trying: groups < len(s.groups)}
	s.checkResults(t, f, &known) // unsynced data may still be there
	claim(t, f)
	for _, g := range s.groups[known.groups:] {
		commit(t, f, g...)
	}
	finish(t, f, s.all...)
	closeIt(t, f)
}

// wantBroken: after err, nothing works any more, unless only the merge could not be written.
func (s story) wantBroken(t *testing.T, f *sink.Folder, err error) {
	t.Helper()
	if !errors.Is(err, sink.ErrBroken) {
		var path *fs.PathError
		if errors.As(err, &path) && strings.Contains(filepath.Base(path.Path), ".jsonl.new-") {
			want(t, f, s.all...)
			finish(t, f, s.all...)
			return
		}
		t.Fatalf("%v is not ErrBroken", err)
	}
	_, claim := f.Claim(t.Context(), plan, "fetcher")
	_, commit := f.Commit(t.Context(), s.all[:1])
	_, list := f.List(t.Context(), 0, 10)
	_, has := f.Has(t.Context(), []chunk.ID{0})
	_, finish := f.Finish(t.Context(), 0, 0)
	replace := sinktest.Replace(t, f, s.all[0])
	for what, err := range map[string]error{"claim": claim, "commit": commit, "list": list, "has": has, "finish": finish, "replace": replace} {
		if !errors.Is(err, sink.ErrBroken) {
			t.Errorf("%s on a broken folder: %v, want ErrBroken", what, err)
		}
	}
}

// TestCommitOfUnknownOutcome: after a failed sync it is unknown whether the group is stored. So the answer is never
// ErrFull, which would mean that it is not stored. In this test it is.
func TestCommitOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, err := range []error{syscall.EIO, syscall.ENOSPC, &fs.PathError{Op: "sync", Path: "log-00000", Err: syscall.ENOSPC}} {
		dir := filepath.Join(t.TempDir(), "sink")
		disk := newTestFS()
		f := openOn(t, disk, dir, sink.FolderOptions{})
		claim(t, f)
		all := sinktest.Chain("", []int{1, -1}, []int{1})
		commit(t, f, all[0])
		disk.before = func(s step) error {
			if s.op == "sync" {
				return err
			}
			return nil
		}
		_, got := f.Commit(t.Context(), all[1:])
		if !errors.Is(got, sink.ErrBroken) || errors.Is(got, sink.ErrFull) {
			t.Errorf("commit: %v, want ErrBroken", got)
		}
		closeIt(t, f)
		want(t, openOn(t, sink.Disk{}, dir, sink.FolderOptions{}), all...) // the group is there, and complete
	}
}

// TestIndexFails: the index is a summary. Whichever step on its file fails, once or for ever, no commit fails, and the
// next opening finds everything.
func TestIndexFails(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]func(step) error{"error": ioError, "full": noSpace, "short": func(step) error { return errShort }} {
		s := newStory()
		for at := 1; ; at++ {
			dir, disk := filepath.Join(t.TempDir(), "sink"), newTestFS()
			steps := 0
			disk.before = func(what step) error {
				if !isIndex(what) || what.op == "open" {
					return nil
				}
				if steps++; steps < at || what.op != "write" && name == "short" {
					return nil
				}
				return err(what)
			}
			f := openOn(t, disk, dir, s.o)
			claim(t, f)
			for _, g := range s.groups {
				commit(t, f, g...)
			}
			finish(t, f, s.all...)
			closeIt(t, f)
			f = openOn(t, newTestFS(), dir, s.o)
			want(t, f, s.all...)
			closeIt(t, f)
			if steps < at {
				if at < 4 {
					t.Errorf("%s: only %d steps could fail", name, at-1)
				}
				break
			}
		}
	}
}

// TestLogVanishesUnderfoot: truncating an open log is reported as damage when the lost part is read.
func TestLogVanishesUnderfoot(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openClaimed(t, dir, sink.FolderOptions{})
	var all []sink.Result
	for id := range 300 {
		all = append(all, sinktest.Result(chunk.ID(id), uint64(id), "", 1))
	}
	commit(t, f, all...)
	if err := os.Truncate(filepath.Join(dir, "log-00000"), 8192); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Look(t.Context(), 299); !errors.Is(err, sink.ErrDamaged) {
		t.Fatalf("look: %v, want ErrDamaged", err)
	}
	if _, err := f.Commit(t.Context(), all[299:]); !errors.Is(err, sink.ErrDamaged) || !errors.Is(err, sink.ErrBroken) {
		t.Fatalf("commit: %v, want ErrDamaged", err)
	}
	if _, err := f.Commit(t.Context(), all[:1]); !errors.Is(err, sink.ErrBroken) {
		t.Fatalf("commit: %v, want ErrBroken", err)
	}
	closeIt(t, f)
}
