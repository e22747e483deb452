//go:build failpoints

package sink

import (
	"os"
	"path/filepath"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/chunkline/chunkline/internal/failpoint"
)

// theDisk is where folders lie: in this build, a disk with a failpoint behind
// every change.
func theDisk() fileSystem { return failingDisk{} }

// failingDisk is the disk with a failpoint behind every step that changes it,
// named sink.STEP.FILE. The steps that only read change nothing: a process
// that dies between them dies behind the change before.
type failingDisk struct{ disk }

// done is the failpoint behind a step that succeeded.
func done(err error, step, what string) error {
	if err == nil {
		failpoint.Hit("sink." + step + "." + what)
	}
	return err
}

func (d failingDisk) OpenFile(name string, flag int) (file, error) {
	f, err := d.disk.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	if flag&os.O_CREATE != 0 {
		failpoint.Hit("sink.create." + kind(name))
	}
	return &failingFile{f, kind(name)}, nil
}

func (d failingDisk) OpenIndex(name string, flag int, perm os.FileMode) (*os.File, error) {
	step := "open"
	if filepath.Base(name) == newIndexName {
		step = "create"
	}
	f, err := d.disk.OpenIndex(name, flag, perm)
	return f, done(err, step, kind(name))
}

// CommitIndex names a transaction by the file it is committed to.
func (d failingDisk) CommitIndex(tx *bolt.Tx) error {
	path := tx.DB().Path() // before tx ends
	return done(d.disk.CommitIndex(tx), "commit", kind(path))
}

func (d failingDisk) Mkdir(name string) error {
	what := "folder"
	if filepath.Base(name) == partsName {
		what = partsName
	}
	return done(d.disk.Mkdir(name), "mkdir", what)
}

// SyncDir knows the sink's own folder by the index in it.
func (d failingDisk) SyncDir(name string) error {
	what := "parent"
	if _, err := os.Stat(filepath.Join(name, indexName)); err == nil {
		what = "folder"
	}
	if filepath.Base(name) == partsName {
		what = partsName
	}
	return done(d.disk.SyncDir(name), "syncdir", what)
}

func (d failingDisk) Rename(from, to string) error {
	return done(d.disk.Rename(from, to), "rename", kind(to))
}

// Remove has a failpoint where a recovery removes a part; no crash leaves
// anything else to remove.
func (d failingDisk) Remove(name string) error {
	err := d.disk.Remove(name)
	if !partName.MatchString(filepath.Base(name)) {
		return err
	}
	return done(err, "remove", kind(name))
}

type failingFile struct {
	file
	kind string
}

// WriteAt writes in two steps: a write may end half way.
func (f *failingFile) WriteAt(b []byte, at int64) (int, error) {
	half := len(b) / 2
	if n, err := f.file.WriteAt(b[:half], at); err != nil {
		return n, err
	}
	failpoint.Hit("sink.write." + f.kind + ".half")
	n, err := f.file.WriteAt(b[half:], at+int64(half))
	return half + n, done(err, "write", f.kind)
}

func (f *failingFile) Truncate(size int64) error {
	return done(f.file.Truncate(size), "truncate", f.kind)
}

func (f *failingFile) Sync() error { return done(f.file.Sync(), "sync", f.kind) }

// kind is what a file is to a sink, in the words of failpoint.Names.
func kind(path string) string {
	base := filepath.Base(path)
	part := partName.FindStringSubmatch(base)
	switch {
	case base == indexName:
		return "index"
	case base == newIndexName:
		return "newindex"
	case part != nil:
		return part[1]
	case strings.Contains(base, "dead"):
		return "deadfile"
	default:
		return "output"
	}
}
