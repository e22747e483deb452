package sink_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
)

// step is one change on disk.
type step struct {
	op   string // create, open, write, truncate, sync, syncdir, mkdir, rename, remove
	path string
}

// testFS is the real disk with hooks before and after every step.
type testFS struct {
	sink.Disk
	before  func(step) error // an error replaces the step
	after   func(step)
	platter *platter // nil: no crash is simulated
	dead    bool     // the process has ended: no step has an effect
}

func newTestFS() *testFS {
	return &testFS{
		before: func(step) error { return nil },
		after:  func(step) {},
	}
}

// newCrashFS returns a testFS that tracks what of home is on the platter.
func newCrashFS(t *testing.T, home string) *testFS {
	t.Helper()
	disk := newTestFS()
	disk.platter = newPlatter(t, home)
	return disk
}

// errShort makes a write stop half way, like a disk that becomes full; errSilent does the same without an error; with
// errTorn the process ends there. Every step of a process returns errKilled after its end.
var (
	errShort  = errors.New("short write")
	errSilent = errors.New("silently short write")
	errTorn   = errors.New("torn write")
	errKilled = errors.New("killed")
)

// alive returns err, or errKilled if the process has ended in a step whose errors are ignored: then it has not reported a
// success either.
func (d *testFS) alive(err error) error {
	if err == nil && d.dead {
		return errKilled
	}
	return err
}

func (d *testFS) do(s step, act func() error) error {
	if d.dead {
		return errKilled
	}
	if err := d.before(s); err != nil {
		return err
	}
	if err := act(); err != nil {
		return err
	}
	d.after(s)
	return nil
}

func (d *testFS) OpenFile(name string, flag int) (f sink.File, err error) {
	op := "open"
	if flag&os.O_CREATE != 0 {
		op = "create"
	}
	err = d.do(step{op, name}, func() error {
		if f, err = d.Disk.OpenFile(name, flag); err != nil {
			return err
		}
		if op == "create" {
			d.platter.create(name, &node{})
		}
		if flag&os.O_TRUNC != 0 {
			d.platter.change(name, change{})
		}
		return nil
	})
	return &testFile{File: f, fs: d, path: name}, err
}

func (d *testFS) Mkdir(name string) error {
	return d.do(step{"mkdir", name}, func() error {
		err := d.Disk.Mkdir(name)
		if err == nil {
			d.platter.create(name, &node{entries: make(map[string]*node)})
		}
		return err
	})
}

func (d *testFS) Rename(from, to string) error {
	return d.do(step{"rename", to}, func() error {
		err := d.Disk.Rename(from, to)
		if err == nil {
			d.platter.move(to, from, nil)
		}
		return err
	})
}

func (d *testFS) Remove(name string) error {
	return d.do(step{"remove", name}, func() error {
		err := d.Disk.Remove(name)
		if err == nil {
			d.platter.move(name, "", nil)
		}
		return err
	})
}

// SyncDir skips the real sync, which is slow.
func (d *testFS) SyncDir(name string) error {
	return d.do(step{"syncdir", name}, func() error {
		d.platter.sync(name)
		return nil
	})
}

type testFile struct {
	sink.File
	fs   *testFS
	path string
}

func (f *testFile) WriteAt(b []byte, at int64) (n int, err error) {
	if f.fs.dead {
		return 0, errKilled
	}
	err = f.fs.before(step{"write", f.path})
	if errors.Is(err, errTorn) {
		n, _ = f.File.WriteAt(b[:len(b)/2], at)
		f.fs.platter.change(f.path, change{at: at, bytes: b[:n]})
		f.fs.dead = true
		return n, errKilled
	}
	if errors.Is(err, errShort) || errors.Is(err, errSilent) {
		n, failed := f.File.WriteAt(b[:len(b)/2], at)
		f.fs.platter.change(f.path, change{at: at, bytes: b[:n]})
		if errors.Is(err, errShort) {
			failed = errors.Join(failed, syscall.ENOSPC)
		}
		return n, failed
	}
	if err != nil {
		return 0, err
	}
	n, err = f.File.WriteAt(b, at)
	f.fs.platter.change(f.path, change{at: at, bytes: b[:n]})
	f.fs.after(step{"write", f.path})
	return n, err
}

func (f *testFile) Truncate(size int64) error {
	return f.fs.do(step{"truncate", f.path}, func() error {
		f.fs.platter.change(f.path, change{at: size})
		return f.File.Truncate(size)
	})
}

// Sync skips the real sync. After a failed one the data is in memory only, and looks as if it were durable.
func (f *testFile) Sync() error {
	wasDead := f.fs.dead
	err := f.fs.do(step{"sync", f.path}, func() error {
		f.fs.platter.sync(f.path)
		return nil
	})
	if err != nil && !wasDead && !errors.Is(err, errKilled) {
		f.fs.platter.lose(f.path)
	}
	return err
}
