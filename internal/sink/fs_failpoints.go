//go:build failpoints

package sink

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/chunkline/chunkline/internal/failpoint"
)

// theDisk is the file system of folders: in this build, a disk with a failpoint after every change.
func theDisk() fileSystem { return failingDisk{} }

// failingDisk is the disk with a failpoint after every step that changes it, named sink.STEP.FILE. Steps that only read
// need none: dying after one is the same as dying after the change before it.
type failingDisk struct{ disk }

// done is the failpoint after a step that succeeded.
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
	if flag&os.O_CREATE != 0 && nameOf(name) != "log" { // tests never fill a part of 1 GiB
		failpoint.Hit("sink.create." + nameOf(name))
	}
	return &failingFile{f, nameOf(name)}, nil
}

func (d failingDisk) Mkdir(name string) error {
	return done(d.disk.Mkdir(name), "mkdir", "folder")
}

// SyncDir recognises the sink's own folder by its log.
func (d failingDisk) SyncDir(name string) error {
	what := "parent"
	if _, err := os.Stat(filepath.Join(name, firstPart)); err == nil {
		what = "folder"
	}
	return done(d.disk.SyncDir(name), "syncdir", what)
}

func (d failingDisk) Rename(from, to string) error {
	return done(d.disk.Rename(from, to), "rename", nameOf(to))
}

type failingFile struct {
	file
	name string
}

// WriteAt writes in two steps, because a kill may interrupt a write.
func (f *failingFile) WriteAt(b []byte, at int64) (int, error) {
	half := len(b) / 2
	if n, err := f.file.WriteAt(b[:half], at); err != nil {
		return n, err
	}
	failpoint.Hit("sink.write." + f.name + ".half")
	n, err := f.file.WriteAt(b[half:], at+int64(half))
	return half + n, done(err, "write", f.name)
}

func (f *failingFile) Truncate(size int64) error {
	return done(f.file.Truncate(size), "truncate", f.name)
}

func (f *failingFile) Sync() error { return done(f.file.Sync(), "sync", f.name) }

// nameOf returns the role of a file in a sink, as in failpoint.Names.
func nameOf(path string) string {
	base := filepath.Base(path)
	switch {
	case partName.MatchString(base):
		return "log"
	case base == newPart:
		return "newlog"
	case base == indexName:
		return "index"
	case strings.Contains(base, "dead"):
		return "deadfile"
	default:
		return "output"
	}
}
