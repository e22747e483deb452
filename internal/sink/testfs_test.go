package sink_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/chunkline/chunkline/internal/sink"
)

// step is one change on disk.
type step struct {
	op   string // create, open, write, truncate, sync, syncdir, mkdir, rename, remove, index
	path string
}

// testFS is the real disk with something before and after every step.
type testFS struct {
	sink.Disk
	before func(step) error // an error takes the step's place
	after  func(step)
	home   string // the folder that is there from the beginning, for crash

	mu     sync.Mutex
	synced map[uint64]int64             // inode → bytes of it that are on the platter
	names  map[string]map[string]uint64 // folder → name → inode, as on the platter
}

func newTestFS() *testFS {
	return &testFS{
		before: func(step) error { return nil },
		after:  func(step) {},
		synced: make(map[uint64]int64),
		names:  make(map[string]map[string]uint64),
	}
}

// errShort makes a write stop half way, as a disk does that becomes full;
// errSilent does the same and says nothing.
var (
	errShort  = errors.New("short write")
	errSilent = errors.New("silently short write")
)

func (d *testFS) do(s step, act func() error) error {
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
		f, err = d.Disk.OpenFile(name, flag)
		return err
	})
	return &testFile{File: f, fs: d, path: name}, err
}

func (d *testFS) CommitIndex(tx *bolt.Tx) error {
	err := d.before(step{"index", "index.db"})
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	d.after(step{"index", "index.db"})
	return nil
}

func (d *testFS) Mkdir(name string) error {
	return d.do(step{"mkdir", name}, func() error { return d.Disk.Mkdir(name) })
}

// Rename may reach the platter at once, when it takes another file's place.
func (d *testFS) Rename(from, to string) error {
	return d.do(step{"rename", to}, func() error {
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		taken := d.forget(to)
		d.mu.Lock()
		if taken {
			d.names[filepath.Dir(to)][filepath.Base(to)] = inode(info)
		}
		d.mu.Unlock()
		return d.Disk.Rename(from, to)
	})
}

func (d *testFS) Remove(name string) error {
	return d.do(step{"remove", name}, func() error { d.forget(name); return d.Disk.Remove(name) })
}

// forget: a file goes, if there is one, and its inode may be another one's
// soon. That it is gone counts as durable; whether its name was, is returned.
func (d *testFS) forget(path string) (known bool) {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.synced, inode(info))
	for _, names := range d.names {
		for name, ino := range names {
			if ino == inode(info) {
				delete(names, name)
				known = true
			}
		}
	}
	return known
}

func (d *testFS) SyncDir(name string) error {
	return d.do(step{"syncdir", name}, func() error {
		entries, err := os.ReadDir(name)
		if err != nil {
			return err
		}
		names := make(map[string]uint64)
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				return err
			}
			names[e.Name()] = inode(info)
		}
		d.mu.Lock()
		d.names[name] = names
		d.mu.Unlock()
		return nil // without the real one, which takes its time
	})
}

type testFile struct {
	sink.File
	fs   *testFS
	path string
}

func (f *testFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.fs.before(step{"write", f.path})
	if errors.Is(err, errShort) || errors.Is(err, errSilent) {
		n, failed := f.File.WriteAt(b[:len(b)/2], at)
		if errors.Is(err, errShort) {
			failed = errors.Join(failed, syscall.ENOSPC)
		}
		return n, failed
	}
	if err != nil {
		return 0, err
	}
	n, err = f.File.WriteAt(b, at)
	f.fs.after(step{"write", f.path})
	return n, err
}

func (f *testFile) Truncate(size int64) error {
	return f.fs.do(step{"truncate", f.path}, func() error { return f.File.Truncate(size) })
}

func (f *testFile) Sync() error {
	return f.fs.do(step{"sync", f.path}, func() error {
		info, err := f.File.(*os.File).Stat()
		if err != nil {
			return err
		}
		f.fs.mu.Lock()
		f.fs.synced[inode(info)] = info.Size()
		f.fs.mu.Unlock()
		return nil
	})
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

// reachable says whether the platter has the names of dir and of all the
// folders above it that the test made.
func (d *testFS) reachable(dir string) bool {
	for ; dir != d.home; dir = filepath.Dir(dir) {
		if _, there := d.names[filepath.Dir(dir)][filepath.Base(dir)]; !there {
			return false
		}
	}
	return true
}

// lost says what becomes of what was not synced when the power goes.
type lost int

const (
	nothingLost lost = iota // the process was killed, the machine goes on
	allLost                 // nothing unsynced reached the platter
	tornToZero              // the length did, the bytes did not; names did
)

// crash copies the folder dir to "to" as a crash at this moment would leave
// it. The index is copied as it is: bbolt syncs it within its step.
func (d *testFS) crash(t *testing.T, dir, to string, what lost) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	if what == allLost && !d.reachable(dir) {
		return
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	now := make(map[uint64]fs.FileInfo) // by inode
	names := make(map[string]uint64)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		now[inode(info)] = info
		names[e.Name()] = inode(info)
	}
	if what == allLost {
		names = d.names[dir]
	}
	for name, ino := range names {
		info, there := now[ino]
		switch {
		case !there: // removed since; say the removal was durable
		case info.IsDir():
			d.mu.Unlock()
			d.crash(t, filepath.Join(dir, name), filepath.Join(to, name), what)
			d.mu.Lock()
		default:
			b, err := os.ReadFile(filepath.Join(dir, info.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if kept := d.synced[ino]; filepath.Ext(info.Name()) != ".db" && info.Name() != "index.db.new" {
				switch {
				case what == allLost:
					b = b[:min(kept, int64(len(b)))]
				case what == tornToZero && kept < int64(len(b)):
					clear(b[kept:])
				}
			}
			if err := os.WriteFile(filepath.Join(to, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
