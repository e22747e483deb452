package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Folder is the sink that stores results in the log of one folder.
type Folder struct {
	View
	Base

	dir       string
	o         FolderOptions // with defaults, paths absolute
	fs        fileSystem
	recovered int64 // set by open, then read-only

	// state is replaced, under mu, when the log changes; any goroutine may read it.
	state atomic.Pointer[state]

	finishing sync.Mutex // one Finish at a time; taken before mu

	reading sync.Mutex // guards reader; taken before mu
	reader  *partReader

	mu      sync.Mutex // guards the fields below, and serializes changes
	locked  file       // the first part, which carries the lock
	log     *log
	table   *Table
	index   *index
	headers *partReader
	err     error // why the folder no longer works: ErrClosed or ErrBroken
}

// Recovered returns how many bytes after the last commit a crash during the next one had left. Opening the folder
// truncated them (not with ReadOnly). They were never reported as committed.
func (f *Folder) Recovered() int64 { return f.recovered }

// Identity returns the sink's ID, which does not depend on the process that has it open, and its path.
func (f *Folder) Identity() (id, at string) { return f.state.Load().claims.ID, f.dir }

// Summary counts the committed results.
func (f *Folder) Summary() Summary { return f.summary(f.state.Load()) }

// summary names the ordered files if they are at the configured paths.
func (f *Folder) summary(s *state) Summary {
	sum := s.totals.Summary()
	if f.isFinished(s) {
		sum.Output = f.o.Output
		if sum.Dead > 0 {
			sum.DeadFile = f.o.DeadFile
		}
	}
	return sum
}

// isFinished reports whether Finish has put the ordered files at the configured paths, and nothing was committed since.
func (f *Folder) isFinished(s *state) bool { return s.finished != nil && *s.finished == f.wanted(s) }

// Refresh does nothing: no other process changes the folder while it is open.
func (f *Folder) Refresh(ctx context.Context) error { return ctx.Err() }

// Close closes the folder and releases its lock. A second Close returns ErrClosed.
func (f *Folder) Close() error {
	f.reading.Lock()
	defer f.reading.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(f.err, ErrClosed) {
		return f.err
	}
	if f.err == nil && !f.o.ReadOnly {
		f.index.write(f.log, f.state.Load()) // so the next opening reads no frames
	}
	err := errors.Join(f.reader.close(), f.closeFiles())
	f.err = fmt.Errorf("sink folder %s: %w", f.dir, ErrClosed)
	return err
}

func (f *Folder) closeFiles() error {
	_ = f.index.close() // the index can be rebuilt
	err := errors.Join(f.headers.close(), f.log.close())
	if f.locked == nil {
		return err
	}
	return errors.Join(err, unlock(f.locked), f.locked.Close())
}
