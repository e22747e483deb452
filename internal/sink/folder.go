package sink

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Folder is the sink that keeps results in files of one folder.
type Folder struct {
	dir       string
	o         FolderOptions // with defaults, paths absolute
	fs        fileSystem
	recovered Recovered // set by open, then read-only
	onSync    func(file string, took time.Duration)

	// state is replaced, under mu, when the index has a change; anyone reads it.
	state atomic.Pointer[state]

	finishing sync.Mutex // one Finish at a time; taken before mu

	reading sync.Mutex // guards reader; taken before mu
	reader  *partReader

	mu      sync.Mutex // guards what follows, and makes changes one at a time
	index   *index
	results *series
	dead    *series
	err     error // why nothing works any more: ErrClosed or ErrBroken
}

// Recovered says what opening the folder had to put right. All zero: nothing.
type Recovered struct {
	// Bytes that were behind the committed end, left by a crash before their
	// commit. They were truncated (not with ReadOnly). Nobody was ever told
	// that they are committed.
	Bytes int64
	// Files are the part files among them that were removed whole.
	Files int
	// FellBack: one of the two newest commit marks of index.db is unreadable.
	// A power cut in the middle of writing it does that, and then nothing is
	// lost. If it was another kind of damage, the last group that was
	// committed before the process died is gone, and its chunks are mapped again.
	FellBack bool
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
		// Leaves both commit marks of the index with the same content, so that
		// neither of them is the only one to know of the last group. Only a
		// precaution: it may fail, for instance on a full disk.
		_ = f.touch()
	}
	err := errors.Join(f.reader.close(), f.closeFiles())
	f.err = fmt.Errorf("sink folder %s: %w", f.dir, ErrClosed)
	return err
}

func (f *Folder) closeFiles() error {
	var errs []error
	for _, s := range f.series() {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	if f.index != nil {
		errs = append(errs, f.index.close())
	}
	return errors.Join(errs...)
}

// series are the two that every result is divided between.
func (f *Folder) series() [2]*series { return [2]*series{f.results, f.dead} }

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

// change runs an index transaction that makes next the state; more may be nil.
// On ErrFull nothing has changed; any other error ends the folder. Call it
// with mu held.
func (f *Folder) change(next *state, more func(*bolt.Tx) error) error {
	err := f.transact(next, more)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrFull):
		return fmt.Errorf("sink folder %s: %w", f.dir, err)
	}
	return f.breakDown(err)
}

func (f *Folder) transact(next *state, more func(*bolt.Tx) error) error {
	old := f.state.Load()
	err := f.timed("index", func() error {
		return f.index.update(func(tx *bolt.Tx) error {
			if err := next.put(tx, old); err != nil {
				return err
			}
			if more == nil {
				return nil
			}
			return more(tx)
		})
	})
	switch {
	case err == nil:
		f.state.Store(next)
		return nil
	case !isIndexFull(err):
		return fmt.Errorf("commit to index: %w", err)
	}
	if e := f.reopenIndex(); e != nil {
		return errors.Join(fmt.Errorf("commit to index: %w", err), fmt.Errorf("open it again: %w", e))
	}
	return noSpace(f.dir, err)
}

// touch runs a transaction that changes nothing but the count of changes.
func (f *Folder) touch() error { return f.change(f.state.Load().next(), nil) }

// reopenIndex opens the index with a new descriptor after a failed commit, and
// makes sure that it is where it was before.
func (f *Folder) reopenIndex() error {
	if err := f.index.close(); err != nil {
		return err
	}
	ix, err := openIndex(f.fs, f.dir, false)
	if err != nil {
		return err
	}
	f.index = ix
	return ix.view(func(tx *bolt.Tx) error {
		s, err := load(tx)
		if err != nil {
			return &DamageError{File: ix.path, Offset: -1, What: err.Error()}
		}
		if old := f.state.Load(); s.totals != old.totals {
			return fmt.Errorf("index has change %d, not %d", s.totals.Change, old.totals.Change)
		}
		return nil
	})
}

// lookup reads the record of a chunk.
func (f *Folder) lookup(tx *bolt.Tx, id chunk.ID) (Record, bool, error) {
	key := chunkKey(id)
	value := tx.Bucket(chunkBucket).Get(key)
	if value == nil {
		return Record{}, false, nil
	}
	r, err := decodeRecord(key, value)
	if err != nil {
		return Record{}, false, &DamageError{File: f.index.path, Offset: -1, Chunk: id, Known: true, What: err.Error()}
	}
	return r, true, nil
}

// OnSync sets what is told how long each step took that waits for the disk:
// the sync of a group's "results", and the commit of the "index". Set it
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
