package sink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	indexName = "index.db"
	// newIndexName is the index until it is complete; then it is renamed.
	newIndexName = "index.db.new"
)

// index is the transactional store beside the parts. Its file carries the
// folder's lock.
type index struct {
	fs   fileSystem
	path string
	db   *bolt.DB
	file *os.File // db's own; known also when bbolt panicked while opening it

	// fellBack: the newest meta page was unreadable and bbolt uses the one
	// before, which is one transaction older.
	fellBack bool
	// wrecked: bbolt panicked in a transaction and may hold its own locks.
	wrecked bool
}

var errRaced = errors.New("another process made the index meanwhile")

// openIndex locks, checks and opens an index that is there.
func openIndex(fs fileSystem, dir string, readOnly bool) (*index, error) {
	ix := &index{fs: fs, path: filepath.Join(dir, indexName)}
	err := ix.open(ix.path, readOnly, func(f *os.File) (err error) {
		ix.fellBack, err = checkPages(f)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ix, nil
}

// createIndex makes a new index, which fill gives its first content, and puts
// it in its place only when it is durable: an index.db is always complete.
// errRaced: there is one by now.
func createIndex(fs fileSystem, dir string, fill func(*bolt.Tx) error) error {
	ix := &index{fs: fs, path: filepath.Join(dir, indexName)}
	fresh := filepath.Join(dir, newIndexName)
	err := ix.open(fresh, false, func(f *os.File) error {
		// Whoever made one before has the lock of what is index.db now; this
		// file had the same name then, or has it since.
		if _, err := fs.Stat(ix.path); err == nil {
			return errors.Join(errRaced, fs.Remove(fresh))
		}
		return f.Truncate(0) // what a crashed attempt left
	})
	if err != nil {
		return err
	}
	if err := ix.update(fill); err != nil {
		class := ErrUnreachable
		if isIndexFull(err) {
			class = ErrFull
		}
		return errors.Join(fmt.Errorf("%w: %w", class, err), ix.close())
	}
	return errors.Join(fs.Rename(fresh, ix.path), ix.close())
}

// open opens the database at path. check sees the file, locked, before bbolt
// looks at it.
func (ix *index) open(path string, readOnly bool, check func(*os.File) error) error {
	options := &bolt.Options{
		Timeout:      time.Millisecond, // the lock is held already, by the same descriptor
		ReadOnly:     readOnly,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			if path == ix.path {
				flag &^= os.O_CREATE
			}
			f, err := ix.fs.OpenIndex(name, flag, perm)
			if err != nil {
				return nil, err
			}
			if err := lock(f, readOnly); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			if err := check(f); err != nil {
				return nil, errors.Join(err, unlock(f), f.Close())
			}
			ix.file = f
			return f, nil
		},
	}
	err := ix.guard(func() (err error) {
		ix.db, err = bolt.Open(path, 0o600, options)
		return err
	})
	if ix.wrecked {
		return errors.Join(err, ix.close())
	}
	return err
}

// anchor makes durable what was read from the index, before anything is built
// on it. Of a process that was killed, or whose sync failed, the newest meta page may
// be in memory only; the one on disk may be older, and the next transaction writes
// over pages that only the older one uses, before it has a meta page of its own.
// The meta pages are written as they are: after a failed sync the kernel takes
// them for durable, and would sync nothing.
func (ix *index) anchor() error {
	f, err := ix.fs.OpenFile(ix.path, os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open index: %w", err)
	}
	if err := rewrite(f, 2*ix.db.Info().PageSize); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%w: sync index: %w", ErrUnreachable, err) // whatever it says
	}
	return nil
}

// rewrite writes the first n bytes of a file once more.
func rewrite(f file, n int) error {
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	if err := writeFull(f, b, 0); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

// close releases the lock.
func (ix *index) close() error {
	if ix.wrecked {
		// bbolt's Close would wait for a transaction that never ends.
		if ix.file == nil {
			return nil
		}
		// The mapping, which stays, would keep the lock.
		return errors.Join(unlock(ix.file), ix.file.Close())
	}
	if ix.db == nil {
		return nil
	}
	if ix.db.IsReadOnly() { // bbolt unlocks a file only if it may write to it
		return errors.Join(unlock(ix.file), ix.db.Close())
	}
	return ix.db.Close()
}

// update runs one transaction and commits it. When it returns nil the change
// is durable.
func (ix *index) update(change func(*bolt.Tx) error) error {
	return ix.guard(func() error {
		tx, err := ix.db.Begin(true)
		if err != nil {
			return fmt.Errorf("begin index transaction: %w", err)
		}
		if err := change(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return ix.fs.CommitIndex(tx)
	})
}

// view runs a read transaction.
func (ix *index) view(read func(*bolt.Tx) error) error {
	return ix.guard(func() error { return ix.db.View(read) })
}

// guard turns what bbolt does about damaged pages, panics and faults on its
// mapped file, into an error. The pages were checked when the index was
// opened, so this is for what decays later.
func (ix *index) guard(do func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if p := recover(); p != nil {
			ix.wrecked = true
			err = &DamageError{File: ix.path, Offset: -1, What: fmt.Sprint(p)}
		}
	}()
	return do()
}
