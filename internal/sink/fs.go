package sink

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// fileSystem is every step a Folder takes on disk. Tests put faults and crashes
// between any two of them.
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

// file is what a Folder needs of a part of the log or of a file it merges.
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
	f, err := os.OpenFile(name, flag, 0o644) //nolint:gosec // the umask decides who else may read results
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (disk) Mkdir(name string) error {
	return os.Mkdir(name, 0o755) //nolint:gosec // the umask decides who else may read results
}

func (disk) Rename(from, to string) error               { return os.Rename(from, to) }
func (disk) Adopt(name string, info fs.FileInfo) error  { return adopt(name, info) }
func (disk) Remove(name string) error                   { return os.Remove(name) }
func (disk) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (disk) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }

// SyncDir makes the entries of a directory durable: a file's own sync does
// not, and a created or renamed file is lost without it.
func (disk) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		_ = d.Close() // the error that matters is the first
		return err
	}
	return d.Close()
}

// isFull says whether an operation other than a sync failed for want of space.
// A sync that fails is never merely "full": the pages may be lost.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, io.ErrShortWrite)
}

// writeFull is WriteAt that never reports less than it should.
func writeFull(f file, b []byte, at int64) error {
	n, err := f.WriteAt(b, at)
	if err == nil && n < len(b) {
		return io.ErrShortWrite
	}
	return err
}
