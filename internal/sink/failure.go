package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/chunkline/chunkline/internal/chunk"
)

// What a failure of the disk does to a folder:
//
//	no space        ErrFull: nothing has changed, and the saver tries again
//	a failed sync   ErrBroken: what is on disk is unknown until the folder is opened again
//	other failures  ErrBroken in a commit; an error of Finish leaves the folder usable
//	damage          ErrDamaged: nothing on disk is changed

// errSync marks a failed sync, which must not be retried on the same file.
var errSync = errors.New("failed sync")

// isFull reports whether an operation other than a sync failed for lack of space. A failed sync is never merely "full":
// the pages may be lost.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, io.ErrShortWrite)
}

// writable returns an error if the folder cannot be changed. Call it with mu held.
func (f *Folder) writable() error {
	if f.err == nil && f.o.ReadOnly {
		return fmt.Errorf("sink folder %s: %w", f.dir, ErrReadOnly)
	}
	return f.err
}

// changeable returns an error if the folder cannot be changed, or if ctx has ended. Call it with mu held.
func (f *Folder) changeable(ctx context.Context) error {
	if err := f.writable(); err != nil {
		return err
	}
	return ctx.Err()
}

// breakDown makes the folder unusable: after err the state on disk is unknown until the folder is opened again.
func (f *Folder) breakDown(err error) error {
	f.err = fmt.Errorf("sink folder %s: %w: %w", f.dir, ErrBroken, err)
	return f.err
}

// full returns the ErrFull for an error for which isFull is true.
func (f *Folder) full(err error) error {
	return fmt.Errorf("sink folder %s: %w", f.dir, noSpace(f.dir, err))
}

// noSpace adds to ErrFull how many bytes are free where the write failed: in the folder or, for a merged file,
// elsewhere.
func noSpace(dir string, err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		dir = filepath.Dir(at.Path)
	}
	free, known := freeBytes(dir)
	if !known {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("%w, %d bytes are free in %s: %w", ErrFull, free, dir, err)
}

// undo removes the written part of a commit, and returns cause.
func (f *Folder) undo(cause error) error {
	if err := f.log.undo(); err != nil {
		return f.breakDown(errors.Join(cause, err))
	}
	return cause
}

// mergeError wraps an error of merging. A full disk or an unwritable output does not mean that committed data is
// damaged.
func (f *Folder) mergeError(err error) error {
	switch {
	case errors.Is(err, ErrBroken):
		return err
	case errors.Is(err, errSync), errors.Is(err, ErrDamaged):
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.breakDown(err)
	case isFull(err):
		return f.full(err)
	}
	return fmt.Errorf("sink folder %s: %w", f.dir, err)
}

// A DamageError says which part of a folder cannot be read back as written. Returning it changes nothing on disk. It is
// an ErrDamaged.
type DamageError struct {
	File   string // path
	Offset int64  // byte in File; -1: the file as a whole
	Chunk  chunk.ID
	Known  bool // Chunk is known
	What   string
}

func (e *DamageError) Error() string {
	where := e.File
	if e.Offset >= 0 {
		where = fmt.Sprintf("%s at byte %d", where, e.Offset)
	}
	if e.Known {
		where = fmt.Sprintf("%s (chunk %d)", where, e.Chunk)
	}
	return fmt.Sprintf("%s: %s: %s; nothing was changed: restore the sink from a copy, or move it away and run the job anew",
		ErrDamaged, where, e.What)
}

// Is makes errors.Is(err, ErrDamaged) true.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }
