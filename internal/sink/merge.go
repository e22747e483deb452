package sink

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/cespare/xxhash/v2"
)

// Finish implements saver.Sink: it merges the ordered files. It needs as much disk space again as the outputs, and
// memory that does not grow with them.
//
// An output that was deleted or whose size has changed is merged again. An error other than ErrIncomplete, ErrFull, or
// one of the context breaks the folder only if a sync failed or committed data is damaged.
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
		if f.isMerged(s) {
			return f.summary(s), nil
		}
		if ok, err := f.merge(ctx, s); err != nil || ok {
			return f.Summary(), err
		}
		// A commit or a Replace intervened: merge again.
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

// checkComplete returns an error that names the first gap.
func (f *Folder) checkComplete(ctx context.Context, s *state, chunks, objects uint64) error {
	if s.finished != nil && s.totals.Chunks == chunks && s.totals.Objects == objects {
		return nil // already checked, and nothing was committed since
	}
	return f.CheckComplete(ctx, chunks, objects, s.totals)
}

// isMerged reports whether the files of an earlier Finish still exist at the configured paths.
func (f *Folder) isMerged(s *state) bool {
	if !f.isFinished(s) {
		return false
	}
	same := func(path string, known []fingerprint) bool {
		info, err := f.fs.Stat(path)
		return err == nil && len(known) == 1 && uint64(info.Size()) == known[0].Bytes
	}
	return (!f.mergesOutputs() || same(f.o.Output, s.written.Outputs)) && (s.totals.Dead == 0 || same(f.o.DeadFile, s.written.Dead))
}

// mergesOutputs reports whether Finish merges the outputs, too, and not only the dead letters.
func (f *Folder) mergesOutputs() bool { return f.o.Output != NoOutput }

func (f *Folder) wanted(s *state) (w finished) {
	if f.mergesOutputs() {
		w.Output = f.relative(f.o.Output)
	}
	if s.totals.Dead > 0 {
		w.DeadFile = f.relative(f.o.DeadFile)
	}
	return w
}

// An orderedFile is a file that Finish merges.
type orderedFile struct {
	path  string
	part  func(*Record) Range
	known []fingerprint // of files that path may already hold
	old   fs.FileInfo   // the file at path; nil: none
	print fingerprint   // of the new file beside path
}

// merge writes the ordered files of s beside their paths, records their fingerprints in the log, renames them into
// place, and records that this is done. With this order, a file that a crash leaves in place is known to be the job's.
// merge returns false if the content is no longer that of s.
func (f *Folder) merge(ctx context.Context, s *state) (ok bool, err error) {
	outputs := orderedFile{path: f.o.Output, part: func(r *Record) Range { return r.Outputs }, known: s.written.Outputs}
	// Pieces are ordered by ordinal, and so are the dead letters within each.
	dead := orderedFile{path: f.o.DeadFile, part: func(r *Record) Range { return r.Dead }, known: s.written.Dead}
	var files []*orderedFile
	if f.mergesOutputs() {
		files = append(files, &outputs)
	}
	if s.totals.Dead > 0 {
		files = append(files, &dead)
	}
	defer func() {
		for _, o := range files {
			err = errors.Join(err, removeIfThere(f.fs, f.fresh(o.path))) // also frees its space
		}
	}()
	for _, o := range files {
		if err := f.mergeFile(ctx, o); err != nil {
			return false, f.mergeError(fmt.Errorf("merge %s: %w", o.path, err))
		}
	}
	placing, placed := *s.written, written{Outputs: outputs.known}
	if f.mergesOutputs() {
		placing.Outputs, placed.Outputs = with(outputs.known, outputs.print), []fingerprint{outputs.print}
	}
	if s.totals.Dead > 0 {
		placing.Dead, placed.Dead = with(dead.known, dead.print), []fingerprint{dead.print}
	}
	if ok, err := f.record(s, &placing, nil); err != nil || !ok {
		return ok, err
	}
	for _, o := range files {
		if err := f.place(o); err != nil {
			return false, f.mergeError(fmt.Errorf("merge %s: %w", o.path, err))
		}
	}
	if s.totals.Dead == 0 {
		if err := f.removeOwn(f.o.DeadFile, dead.known); err != nil {
			return false, f.mergeError(fmt.Errorf("remove old dead letters: %w", err))
		}
	}
	done := f.wanted(s)
	return f.record(s, &placed, &done)
}

// mergeFile writes a new file beside o's path, and computes its fingerprint.
func (f *Folder) mergeFile(ctx context.Context, o *orderedFile) (err error) {
	if o.old, err = f.mayReplace(o.path, o.known); err != nil { // check before the work, not only after it
		return err
	}
	out, err := f.fs.OpenFile(f.fresh(o.path), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	return errors.Join(f.writeOrdered(ctx, o, out), out.Close())
}

// writeOrdered writes the content of o to out, and makes it durable.
func (f *Folder) writeOrdered(ctx context.Context, o *orderedFile, out file) error {
	sum := xxhash.New()
	target := &appender{file: out}
	w := bufio.NewWriterSize(io.MultiWriter(sum, target), readSize)
	content, err := compressionOf(o.path).writer(w)
	if err != nil {
		return err
	}
	if table := TableOf(o.path); table != 0 {
		err = f.mergeTable(ctx, content, table)
	} else {
		err = f.mergeLines(ctx, content, o)
	}
	if err == nil {
		err = errors.Join(content.Close(), w.Flush())
	}
	if err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	o.print = fingerprint{Bytes: uint64(target.at), Sum: sum.Sum64()}
	return nil
}

// mergeLines writes the ranges of all pieces, in order, to w.
func (f *Folder) mergeLines(ctx context.Context, w io.Writer, o *orderedFile) (err error) {
	reader := newPartReader(f.log)
	defer func() { err = errors.Join(err, reader.close()) }()
	for r, err := range f.Records(ctx) {
		if err != nil {
			return err
		}
		if err := reader.copy(w, o.part(&r), &r); err != nil {
			return err
		}
	}
	return nil
}

func (f *Folder) syncDir(dir string) error {
	if err := f.fs.SyncDir(dir); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	return nil
}

// record logs what was written and, if done is not nil, that the files are in place; false if the content is no longer
// that of s.
func (f *Folder) record(s *state, now *written, done *finished) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return false, err
	}
	if f.state.Load().content != s.content {
		return false, nil
	}
	if done == nil {
		done = f.state.Load().finished
	}
	return true, f.append([]frame{{kind: mergedKind, merged: &merged{Written: now, Finished: done}}})
}

// appender appends to a file that no one else writes.
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

// A Merged is a file that Finish has merged, open for reading. The caller closes it.
type Merged struct {
	io.ReaderAt
	io.Closer
	MediaType string // of its content, which may be compressed
	Bytes     int64
	Sum       uint64 // XXH64 of all bytes, as written
}

// OpenOutput opens the ordered outputs or the ordered dead letters, an empty file if there are none. It returns
// ErrIncomplete while the job is not finished, and an error if the file was removed or its size has changed. The reader
// must compare the content with Sum. An open file stays unchanged when a later Finish replaces it.
func (f *Folder) OpenOutput(dead bool) (Merged, error) {
	s := f.state.Load()
	path, known := f.o.Output, s.written.Outputs
	if dead {
		path, known = f.o.DeadFile, s.written.Dead
	}
	switch {
	case s.finished == nil:
		return Merged{}, fmt.Errorf("sink folder %s: %w", f.dir, ErrIncomplete)
	case !dead && !f.mergesOutputs():
		return Merged{}, fmt.Errorf("sink folder %s: its outputs were written to standard output: it has no file of them", f.dir)
	case dead && s.totals.Dead == 0:
		return Merged{ReaderAt: bytes.NewReader(nil), Closer: io.NopCloser(nil), MediaType: MediaType(""), Sum: xxhash.Sum64(nil)}, nil
	}
	info, err := f.fs.Stat(path)
	if err != nil {
		return Merged{}, fmt.Errorf("open output: %w", err)
	}
	if len(known) != 1 {
		return Merged{}, fmt.Errorf("%s is not as this job wrote it: a merge was interrupted", path)
	}
	if uint64(info.Size()) != known[0].Bytes {
		return Merged{}, fmt.Errorf("%s is not as this job wrote it: it has %d bytes, not %d", path, info.Size(), known[0].Bytes)
	}
	in, err := f.fs.OpenFile(path, os.O_RDONLY)
	if err != nil {
		return Merged{}, fmt.Errorf("open output: %w", err)
	}
	return Merged{ReaderAt: in, Closer: in, MediaType: MediaType(path), Bytes: info.Size(), Sum: known[0].Sum}, nil
}
