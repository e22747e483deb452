package sink

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// fileSystem is every step a Folder takes on disk. What bbolt does between the
// begin of a transaction and its end is one step, CommitIndex: bbolt insists
// on a real file. Tests put faults and crashes between any two steps, and work
// out from the file what a crash within that one may leave.
type fileSystem interface {
	OpenFile(name string, flag int) (file, error)
	OpenIndex(name string, flag int, perm os.FileMode) (*os.File, error)
	CommitIndex(tx *bolt.Tx) error
	Mkdir(name string) error
	Rename(from, to string) error
	Adopt(name string, info fs.FileInfo) error
	Remove(name string) error
	SyncDir(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
}

// file is what a Folder needs of a part file or of a file it merges.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
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

func (disk) OpenIndex(name string, flag int, perm os.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

func (disk) Mkdir(name string) error {
	return os.Mkdir(name, 0o755) //nolint:gosec // the umask decides who else may read results
}

func (disk) CommitIndex(tx *bolt.Tx) error              { return tx.Commit() }
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

// isIndexFull is isFull for the error of a bbolt commit, which may come from
// a write, from a sync, or from making the file longer. A sync's error is a
// bare errno (or *PathError with Op "sync"), a write's a *PathError. The one
// of making it longer, before anything is written, is formatted with %s: its
// text is all there is (bbolt v1.5.0, DB.grow).
func isIndexFull(err error) bool {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Op == "write" && isFull(path.Err)
	}
	text := err.Error()
	return strings.HasPrefix(text, "file resize error:") &&
		(strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, syscall.EDQUOT.Error()))
}

// writeFull is WriteAt that never reports less than it should.
func writeFull(f file, b []byte, at int64) error {
	n, err := f.WriteAt(b, at)
	if err == nil && n < len(b) {
		return io.ErrShortWrite
	}
	return err
}
