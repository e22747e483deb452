package sink

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Finish lays out the ordered files, as Sink says. It needs as much space
// again as the outputs, and memory that does not grow with them.
//
// An output that was deleted or changed its size since is laid out again. An
// error other than ErrIncomplete, ErrFull, or one of the context ends the
// folder only if a sync failed or committed data is damaged.
func (f *Folder) Finish(ctx context.Context, chunks, objects uint64) (Summary, error) {
	f.finishing.Lock()
	defer f.finishing.Unlock()
	for {
		s, err := f.finishable()
		if err != nil {
			return Summary{}, err
		}
		if err := f.checkComplete(ctx, s, chunks, objects); err != nil {
			return Summary{}, err
		}
		if f.isLaidOut(s) {
			return s.summary(), nil
		}
		done, err := f.layOut(ctx, s)
		if err != nil {
			return Summary{}, f.judgeLayout(err)
		}
		if ok, err := f.recordFinished(s, done); err != nil || ok {
			return f.Summary(), err
		}
		// A commit or a Replace came in between. Again.
	}
}

func (f *Folder) finishable() (*state, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return nil, err
	}
	s := f.state.Load()
	if s.claims.Plan == nil {
		return nil, fmt.Errorf("sink folder %s: %w", f.dir, ErrUnclaimed)
	}
	return s, nil
}

// checkComplete names the first gap.
func (f *Folder) checkComplete(ctx context.Context, s *state, chunks, objects uint64) error {
	if s.finished != nil && s.totals.Chunks == chunks && s.totals.Objects == objects {
		return nil // it was checked, and nothing was committed since
	}
	incomplete := func(format string, args ...any) error {
		return fmt.Errorf("sink folder %s: %w: %s; it has %d of %d chunks and %d of %d objects",
			f.dir, ErrIncomplete, fmt.Sprintf(format, args...), s.totals.Chunks, chunks, s.totals.Objects, objects)
	}
	var next chunk.ID
	var ordinal uint64
	for r, err := range f.Records(ctx) {
		switch {
		case err != nil:
			return err
		case uint64(r.Chunk) >= chunks:
			return incomplete("chunk %d is beyond the end", r.Chunk)
		case r.Chunk != next:
			return incomplete("chunk %d is missing", next)
		case r.First != ordinal:
			return incomplete("chunk %d begins with object %d, not %d", r.Chunk, r.First, ordinal)
		}
		next++
		ordinal += uint64(r.Objects)
	}
	switch {
	case uint64(next) != chunks:
		return incomplete("chunk %d is missing", next)
	case ordinal != objects:
		return incomplete("the chunks have %d objects", ordinal)
	}
	return nil
}

// isLaidOut says whether the files of an earlier Finish are still there, where
// they are wanted now.
func (f *Folder) isLaidOut(s *state) bool {
	wanted := f.wanted(s)
	if s.finished == nil || *s.finished != wanted {
		return false
	}
	same := func(path string, bytes uint64) bool {
		info, err := f.fs.Stat(path)
		return err == nil && uint64(info.Size()) == bytes
	}
	return same(wanted.Output, s.totals.OutputBytes) && (s.totals.Dead == 0 || same(wanted.DeadFile, s.totals.DeadBytes))
}

func (f *Folder) wanted(s *state) finished {
	w := finished{Output: f.o.Output}
	if s.totals.Dead > 0 {
		w.DeadFile = f.o.DeadFile
	}
	return w
}

// errSync marks a failed sync, after which nobody tries again.
var errSync = errors.New("failed sync")

// judgeLayout: a full disk or an unwritable output is no damage to what is
// committed.
func (f *Folder) judgeLayout(err error) error {
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

func (f *Folder) layOut(ctx context.Context, s *state) (finished, error) {
	done := f.wanted(s)
	if err := f.layOutFile(ctx, done.Output, f.results, func(r *Record) Range { return r.Outputs }); err != nil {
		return done, fmt.Errorf("lay out %s: %w", done.Output, err)
	}
	if done.DeadFile != "" {
		// Chunks follow one another in the order of the ordinals, and so do the
		// dead letters within each.
		if err := f.layOutFile(ctx, done.DeadFile, f.dead, func(r *Record) Range { return r.Dead }); err != nil {
			return done, fmt.Errorf("lay out %s: %w", done.DeadFile, err)
		}
		return done, nil
	}
	removed, err := removeIfThere(f.fs, f.o.DeadFile)
	if err != nil {
		return done, fmt.Errorf("remove old dead letters: %w", err)
	}
	if removed {
		return done, f.syncDir(filepath.Dir(f.o.DeadFile))
	}
	return done, nil
}

// layOutFile writes the ranges of all chunks, in order, to a new file and puts
// it in the place of path when it is durable.
func (f *Folder) layOutFile(ctx context.Context, path string, s *series, place func(*Record) Range) (err error) {
	fresh := path + ".new"
	out, err := f.fs.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if err == nil {
			return
		}
		if !closed {
			err = errors.Join(err, out.Close())
		}
		_, e := removeIfThere(f.fs, fresh) // also to give its space back
		err = errors.Join(err, e)
	}()
	reader := newPartReader(f.fs)
	defer func() { err = errors.Join(err, reader.close()) }()
	w := bufio.NewWriterSize(&appender{file: out}, readSize)
	for r, err := range f.Records(ctx) {
		if err != nil {
			return err
		}
		if err := reader.copy(w, s, place(&r), &r); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	closed = true
	if err := out.Close(); err != nil {
		return err
	}
	if err := f.fs.Rename(fresh, path); err != nil {
		return err
	}
	return f.syncDir(filepath.Dir(path))
}

func (f *Folder) syncDir(dir string) error {
	if err := f.fs.SyncDir(dir); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	return nil
}

// recordFinished notes that the files are there; false if the content is not
// that of s any more.
func (f *Folder) recordFinished(s *state, done finished) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return false, err
	}
	now := f.state.Load()
	if now.totals.Content != s.totals.Content {
		return false, nil
	}
	next := now.next()
	next.finished = &done
	return true, f.change(next, nil)
}

// appender writes to the end of a file that it is alone with.
type appender struct {
	file file
	at   int64
}

func (a *appender) Write(b []byte) (int, error) {
	if err := writeFull(a.file, b, a.at); err != nil {
		return 0, err
	}
	a.at += int64(len(b))
	return len(b), nil
}
