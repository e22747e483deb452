//go:build failpoints

package sink

import (
	"os"
	"path/filepath"

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
func done(err error, step, path string) error {
	if err == nil {
		failpoint.Hit("sink." + step + "." + kind(path))
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
	return &failingFile{f, name}, nil
}

func (d failingDisk) OpenIndex(name string, flag int, perm os.FileMode) (*os.File, error) {
	f, err := d.disk.OpenIndex(name, flag, perm)
	if filepath.Base(name) == newIndexName {
		return f, done(err, "create", name)
	}
	return f, done(err, "open", name)
}

// CommitIndex names a transaction by the file it is committed to.
func (d failingDisk) CommitIndex(tx *bolt.Tx) error {
	path := tx.DB().Path() // before tx ends
	return done(d.disk.CommitIndex(tx), "commit", path)
}

// Mkdir makes the parts' folder or the sink's own.
func (d failingDisk) Mkdir(name string) error {
	err := d.disk.Mkdir(name)
	if filepath.Base(name) != partsName && err == nil {
		failpoint.Hit("sink.mkdir.folder") // it has no index yet that shows what it is
		return nil
	}
	return done(err, "mkdir", name)
}

func (d failingDisk) Rename(from, to string) error {
	return done(d.disk.Rename(from, to), "rename", to)
}

func (d failingDisk) SyncDir(name string) error { return done(d.disk.SyncDir(name), "syncdir", name) }

// Remove has a failpoint where a recovery removes a part; no crash leaves
// anything else to remove.
func (d failingDisk) Remove(name string) error {
	err := d.disk.Remove(name)
	if !partName.MatchString(filepath.Base(name)) {
		return err
	}
	return done(err, "remove", name)
}

type failingFile struct {
	file
	path string
}

// WriteAt writes in two steps: a write may end half way.
func (f *failingFile) WriteAt(b []byte, at int64) (int, error) {
	half := len(b) / 2
	if n, err := f.file.WriteAt(b[:half], at); err != nil {
		return n, err
	}
	failpoint.Hit("sink.write." + kind(f.path) + ".half")
	n, err := f.file.WriteAt(b[half:], at+int64(half))
	return half + n, done(err, "write", f.path)
}

func (f *failingFile) Truncate(size int64) error {
	return done(f.file.Truncate(size), "truncate", f.path)
}

func (f *failingFile) Sync() error { return done(f.file.Sync(), "sync", f.path) }

// kind is what a file or folder is to a sink, in the words of failpoint.Names.
func kind(path string) string {
	switch base := filepath.Base(path); base {
	case indexName:
		return "index"
	case newIndexName:
		return "newindex"
	case partsName:
		return "parts"
	case "output.jsonl", "output.jsonl.new":
		return "output"
	case "dead.jsonl", "dead.jsonl.new":
		return "deadfile"
	default:
		if part := partName.FindStringSubmatch(base); part != nil {
			return part[1]
		}
	}
	if _, err := os.Stat(filepath.Join(path, indexName)); err == nil {
		return "folder"
	}
	return "parent"
}
