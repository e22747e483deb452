package sink_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
)

// jobToRedo returns a finished job in which v2 made every other piece, and the results without those of v2.
func jobToRedo() (s story, left []sink.Result) {
	s = newStory()
	version := make(map[piece]string)
	for i := range s.all {
		r := &s.all[i]
		if r.Version = "v1"; i%2 == 1 {
			r.Version = "v2"
		} else {
			left = append(left, *r)
		}
		version[pieceOf(*r)] = r.Version
	}
	for _, g := range s.groups {
		for i := range g {
			g[i].Version = version[pieceOf(g[i])]
		}
	}
	return s, left
}

// finishOn runs the job on a disk.
func (s story) finishOn(t *testing.T, disk sink.FileSystem, dir string) {
	t.Helper()
	f := openOn(t, disk, dir, s.o)
	claim(t, f)
	for _, g := range s.groups {
		commit(t, f, g...)
	}
	finish(t, f, s.all...)
	closeIt(t, f)
}

// resumeAfterRedo opens the folder after an interrupted redo; returned says whether Redo had returned. Either all
// chunks are there or all are removed. Then it repeats the redo and finishes the job.
func (s story) resumeAfterRedo(t *testing.T, dir string, left []sink.Result, returned bool) (gone bool) {
	t.Helper()
	f := openOn(t, newTestFS(), dir, s.o)
	switch gone = compare(t, f, left...) == ""; {
	case !gone && returned:
		t.Fatalf("redo had no effect: %s", compare(t, f, left...))
	case !gone:
		want(t, f, s.all...)
	case f.Summary().Output != "":
		t.Fatal("the job is finished, although chunks are gone")
	}
	if gone == (f.Epoch() == 1) {
		t.Fatalf("epoch %d, chunks gone %t: want a new epoch exactly if they are gone", f.Epoch(), gone)
	}
	if done, err := f.Redo(t.Context(), "v2"); err != nil || gone != (done.Chunks == 0) {
		t.Fatalf("redo again: %+v, %v; chunks gone before: %t", done, err, gone)
	}
	want(t, f, left...)
	if _, err := f.Claim(t.Context(), plan, "fetcher"); !errors.Is(err, sink.ErrFenced) {
		t.Fatalf("claim by the earlier fetcher: %v, want ErrFenced", err)
	}
	if _, err := f.Claim(t.Context(), plan, "next"); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.all {
		if r.Version == "v2" {
			r.Version = "v3"
			commit(t, f, r)
		}
	}
	anew := slices.Clone(s.all)
	for i := range anew {
		if anew[i].Version == "v2" {
			anew[i].Version = "v3"
		}
	}
	finish(t, f, anew...)
	want(t, f, anew...)
	closeIt(t, f)
	return gone
}

// TestCrashInRedo kills the process and cuts the power at every step of a redo, and in the middle of every write.
func TestCrashInRedo(t *testing.T) {
	t.Parallel()
	s, left := jobToRedo()
	outcomes := map[bool]int{} // whether the chunks were removed
	// try breaks one redo, resumes it from each crash that leaves other files, and reports whether the disk ended it.
	try := func(t *testing.T, before func(step) error) (again bool) {
		t.Helper()
		home := t.TempDir()
		s.finishOn(t, newTestFS(), filepath.Join(home, "sink"))
		disk := newCrashFS(t, home)
		disk.before = func(s step) error {
			err := before(s)
			disk.dead = disk.dead || errors.Is(err, errKilled)
			return err
		}
		returned := false
		f, err := sink.OpenFolderOn(disk, filepath.Join(home, "sink"), job, s.o)
		if err == nil {
			_, err = f.Redo(t.Context(), "v2")
			returned = err == nil
			_ = f.Close()
		}
		if !disk.dead && err != nil {
			t.Fatalf("redo: %v", err)
		}
		seen := make(map[string]bool)
		for _, dice := range certain {
			if files := disk.platter.left(dice); !seen[files] {
				seen[files] = true
				to := t.TempDir()
				disk.platter.crash(t, to, dice)
				outcomes[s.resumeAfterRedo(t, filepath.Join(to, "sink"), left, returned)]++
			}
		}
		return disk.dead
	}
	steps := 0
	for at := 1; ; at++ {
		n := 0
		if !try(t, func(step) error {
			if n++; n >= at {
				return errKilled
			}
			return nil
		}) {
			break
		}
		steps++
	}
	for at := 1; ; at++ {
		n := 0
		if !try(t, func(s step) error {
			if s.op != "write" {
				return nil
			}
			if n++; n == at {
				return errTorn
			}
			return nil
		}) {
			break
		}
	}
	if steps < 6 {
		t.Errorf("only %d steps", steps)
	}
	if outcomes[false] < 10 || outcomes[true] < 10 {
		t.Errorf("chunks were kept %d times and removed %d times, want each often", outcomes[false], outcomes[true])
	}
}

// TestFaultInRedo makes each step of a redo fail once: on a full disk nothing has changed, and after any other failure
// the folder is broken.
func TestFaultInRedo(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]failing{
		"full":        {match: takesSpace, err: noSpace},
		"sync":        {match: ops("sync"), err: ioError},
		"folder sync": {match: ops("syncdir"), err: ioError},
		"write":       {match: ops("write"), err: ioError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, left := jobToRedo()
			for at := 1; ; at++ {
				dir, disk, x := filepath.Join(t.TempDir(), "sink"), newTestFS(), x
				s.finishOn(t, newTestFS(), dir)
				x.at = at
				disk.before = x.before
				returned := false
				f, err := sink.OpenFolderOn(disk, dir, job, s.o)
				if err == nil {
					_, err = f.Redo(t.Context(), "v2")
					returned = err == nil
					if name == "full" && err != nil {
						want(t, f, s.all...)
					}
					_ = f.Close()
				}
				if err != nil && errors.Is(err, sink.ErrFull) != (name == "full") {
					t.Fatalf("step %d: %v", at, err)
				}
				s.resumeAfterRedo(t, dir, left, returned)
				if !x.hit() {
					if at < 2 {
						t.Error("no step could fail")
					}
					return
				}
			}
		})
	}
}
