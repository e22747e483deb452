package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Folder is the sink that keeps results in the log of one folder.
type Folder struct {
	dir       string
	o         FolderOptions // with defaults, paths absolute
	fs        fileSystem
	recovered Recovered // set by open, then read-only
	onSync    func(file string, took time.Duration)

	// state is replaced, under mu, when the log has a change; anyone reads it.
	state atomic.Pointer[state]

	finishing sync.Mutex // one Finish at a time; taken before mu

	reading sync.Mutex // guards reader; taken before mu
	reader  *partReader

	mu      sync.Mutex // guards what follows, and makes changes one at a time
	locked  file       // the first part, which carries the lock
	log     *log
	table   *table
	index   *index
	headers *partReader
	err     error // why nothing works any more: ErrClosed or ErrBroken
}

// Recovered says what opening the folder had to put right. All zero: nothing.
type Recovered struct {
	// Bytes that were behind the last commit, left by a crash in the one after it.
	// They were truncated (not with ReadOnly). Nobody was ever told that they
	// are committed.
	Bytes int64
}

// Recovered says what opening the folder had to put right.
func (f *Folder) Recovered() Recovered { return f.recovered }

// Job is the job that the folder belongs to.
func (f *Folder) Job() string { return f.state.Load().claims.Job }

// Identity says which sink this is, whatever process has it open, and where.
func (f *Folder) Identity() (id, at string) { return f.state.Load().claims.ID, f.dir }

// Plan is the plan the folder is bound to; false before the first claim.
func (f *Folder) Plan() (chunk.Plan, bool) {
	if p := f.state.Load().claims.Plan; p != nil {
		return *p, true
	}
	return chunk.Plan{}, false
}

// Epoch is the newest one granted.
func (f *Folder) Epoch() uint64 { return f.state.Load().claims.Epoch }

// Key is the key of every Grant. Do not change it.
func (f *Folder) Key() []byte { return f.state.Load().claims.Key }

// Term is how often a version was fenced.
func (f *Folder) Term(version string) uint64 { return f.state.Load().claims.Terms[version] }

// Summary counts what is committed.
func (f *Folder) Summary() Summary { return f.summary(f.state.Load()) }

// summary names the ordered files if they were put where they are wanted now.
func (f *Folder) summary(s *state) Summary {
	t := s.totals
	sum := Summary{Chunks: t.Chunks, Objects: t.Objects, Outputs: t.Outputs, Dead: t.Dead, OutputBytes: t.OutputBytes}
	if s.finished != nil && *s.finished == f.wanted(s) {
		sum.Output = f.o.Output
		if t.Dead > 0 {
			sum.DeadFile = f.o.DeadFile
		}
	}
	return sum
}

// Refresh does nothing: nobody else changes the folder while it is open.
func (f *Folder) Refresh(ctx context.Context) error { return ctx.Err() }

// Close closes the folder and gives its lock free. A second Close is ErrClosed.
func (f *Folder) Close() error {
	f.reading.Lock()
	defer f.reading.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(f.err, ErrClosed) {
		return f.err
	}
	if f.err == nil && !f.o.ReadOnly {
		f.index.write(f.log, f.state.Load()) // so that the next opening reads no frames
	}
	err := errors.Join(f.reader.close(), f.closeFiles())
	f.err = fmt.Errorf("sink folder %s: %w", f.dir, ErrClosed)
	return err
}

func (f *Folder) closeFiles() error {
	_ = f.index.close() // it is made again
	err := errors.Join(f.headers.close(), f.log.close())
	if f.locked == nil {
		return err
	}
	return errors.Join(err, unlock(f.locked), f.locked.Close())
}

// writable says whether the folder can be changed. Call it with mu held.
func (f *Folder) writable() error {
	if f.err == nil && f.o.ReadOnly {
		return fmt.Errorf("sink folder %s: %w", f.dir, ErrReadOnly)
	}
	return f.err
}

// breakDown ends the folder: after err nobody knows what is on disk, until it
// is opened anew.
func (f *Folder) breakDown(err error) error {
	f.err = fmt.Errorf("sink folder %s: %w: %w", f.dir, ErrBroken, err)
	return f.err
}

func (f *Folder) full(err error) error {
	return fmt.Errorf("sink folder %s: %w", f.dir, noSpace(f.dir, err))
}

// OnSync sets what is told how long each sync of the "log" took. Set it
// before the folder is used.
func (f *Folder) OnSync(tell func(file string, took time.Duration)) { f.onSync = tell }

// timed runs a step that waits for the disk.
func (f *Folder) timed(file string, step func() error) error {
	begin := time.Now()
	err := step()
	if f.onSync != nil {
		f.onSync(file, time.Since(begin))
	}
	return err
}
