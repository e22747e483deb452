package sink

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// fileSystem has every operation of a Folder on disk. Tests inject faults and crashes between any two of them.
type fileSystem interface {
	OpenFile(name string, flag int) (file, error)
	Mkdir(name string) error
	Rename(from, to string) error
	Adopt(name string, info fs.FileInfo) error
	Remove(name string) error
	SyncDir(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
}

// file has what a Folder needs of a part of the log or of a merged file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Fd() uintptr // for the lock
}

// disk is the real fileSystem.
type disk struct{}

func (disk) OpenFile(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o644) //nolint:gosec // the umask restricts who may read results
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (disk) Mkdir(name string) error {
	return os.Mkdir(name, 0o755) //nolint:gosec // the umask restricts who may read results
}

func (disk) Rename(from, to string) error               { return os.Rename(from, to) }
func (disk) Adopt(name string, info fs.FileInfo) error  { return adopt(name, info) }
func (disk) Remove(name string) error                   { return os.Remove(name) }
func (disk) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (disk) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }

// SyncDir makes the entries of a directory durable. Syncing a file does not, so without it a created or renamed file
// may be lost.
func (disk) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFull is WriteAt, but turns a short write into an error.
func writeFull(f file, b []byte, at int64) error {
	n, err := f.WriteAt(b, at)
	if err == nil && n < len(b) {
		return io.ErrShortWrite
	}
	return err
}
