package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/chunkline/chunkline/internal/failpoint"
)

// recover restores the committed state of an opened folder: it loads the index and reads the frames after the index's
// end. If anything is wrong, it changes nothing; otherwise it truncates what a crash left after the last commit.
//
// An incomplete commit is either the last one, which was not answered, or damage. It was not answered if nothing proves
// that it was durable once. The proofs are the index, a later part, and any frame of a later commit: all of these are
// written only after the commit's sync. It does not matter which blocks of an unsynced commit a power cut leaves,
// because nothing follows it.
func (f *Folder) recover(job string) error {
	have, err := f.surveyParts()
	if err != nil {
		return err
	}
	t, err := f.readLog(have)
	if err != nil {
		return err
	}
	f.recovered = t.bytes
	if is := f.state.Load().claims.Job; job != "" && is != job && !f.rebindable() {
		return fmt.Errorf("%w: it holds job %s, not %s; use another folder", ErrOtherJob, is, job)
	}
	if f.o.ReadOnly {
		return nil
	}
	failpoint.Hit("sink.checked")
	return f.mend(job, t)
}

// rebindable reports whether the folder is still unused, so its job may change.
func (f *Folder) rebindable() bool { return f.state.Load().claims.Plan == nil && !f.o.ReadOnly }

// surveyParts returns the size of each part's file.
func (f *Folder) surveyParts() (have []int64, err error) {
	entries, err := f.fs.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	sizes := map[int]int64{}
	for _, e := range entries {
		m := partName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, err
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		sizes[n] = info.Size()
	}
	for len(have) < len(sizes) {
		size, ok := sizes[len(have)]
		if !ok {
			return nil, &DamageError{File: f.log.path(len(have)), Offset: -1, What: "the file is missing, and there are later ones"}
		}
		have = append(have, size)
	}
	return have, nil
}

// tail is what readLog found at the end of the log.
type tail struct {
	bytes   int64 // after the last commit
	rewrite int64 // start of the last commit, if it may not be durable; -1: it is durable
}

// A scan reads the frames after a position in the log.
type scan struct {
	f    *Folder
	have []int64
	in   frameReader
	part int

	whole  []frame // the last commit that was read; applied when the next one is read
	begins int64   // in part
	before mark    // the end of the commit before it
}

// readLog reads the part of the log that the index does not cover.
func (f *Folder) readLog(have []int64) (t tail, err error) {
	last, err := f.index.load(f.table)
	if err != nil {
		return t, err
	}
	next := &state{claims: &Claims{}, written: &written{}}
	if last != nil {
		if last.Claims.Format != formatVersion {
			return t, fmt.Errorf("%w: %d, not %d", ErrFormat, last.Claims.Format, formatVersion)
		}
		if err := last.agree(f.log, have); err != nil {
			return t, err
		}
		next = &state{claims: last.Claims, totals: last.Totals, written: last.Written, finished: last.Finished}
		f.log.parts, f.log.mark = last.Parts, last.mark
	} else {
		f.log.parts = []int64{0}
	}
	f.index.pending = f.index.pending[:0]
	s := &scan{f: f, have: have}
	for s.part = len(f.log.parts) - 1; s.part < len(have); s.part++ {
		if err := s.readPart(next); err != nil {
			return t, err
		}
	}
	t = tail{bytes: have[len(have)-1] - f.log.parts[len(have)-1], rewrite: -1}
	if s.whole != nil {
		t.rewrite = s.begins
		if err := s.apply(next); err != nil {
			return t, err
		}
	}
	if f.log.Commit == 0 {
		return t, &DamageError{File: f.log.path(0), Offset: 0, What: "the log does not begin here"}
	}
	f.state.Store(next.next())
	return t, nil
}

// readPart reads the commits of one part.
func (s *scan) readPart(next *state) (err error) {
	l := s.f.log
	if s.part == len(l.parts) { // a later part proves the commits before it
		if err := s.apply(next); err != nil {
			return err
		}
		l.parts = append(l.parts, 0)
	}
	file, err := l.fs.OpenFile(l.path(s.part), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	s.in = frameReader{file: file, size: s.have[s.part]}
	for at := l.parts[s.part]; at < s.in.size; at = l.parts[s.part] {
		frames, bad, err := s.readCommit(at)
		if err != nil {
			return err
		}
		if bad != nil {
			return s.torn(at, bad)
		}
		if err := s.apply(next); err != nil {
			return err
		}
		s.whole, s.begins, s.before = frames, at, l.mark
		end := frames[len(frames)-1]
		l.mark = mark{Commit: end.head.commit, Sum: end.head.sum, Newest: end.position()}
		l.parts[s.part] = end.at + end.head.size()
	}
	if s.part == len(s.have)-1 {
		return s.checkWhole(false)
	}
	return nil
}

// readCommit reads the frames of the commit that begins at a byte. bad describes any difference from the data as it was
// written.
func (s *scan) readCommit(at int64) (frames []frame, bad *DamageError, err error) {
	l := s.f.log
	sum := l.Sum
	for {
		h, header, what, err := s.in.read(at)
		if err != nil {
			return nil, nil, err
		}
		if what == "" && at == 0 && s.part > 0 && h.commit > l.Commit+1 {
			return nil, &DamageError{File: l.path(s.part - 1), Offset: s.have[s.part-1],
				What: fmt.Sprintf("the file ends here, and commits %d to %d are missing", l.Commit+1, h.commit-1)}, nil
		}
		if what == "" && (h.commit != l.Commit+1 || h.before != sum) {
			what = "the record here does not follow the one before"
		}
		if what != "" {
			return nil, &DamageError{File: l.path(s.part), Offset: at, What: what}, nil
		}
		fr, err := h.decode(header, s.part, at)
		if errors.Is(err, ErrFormat) {
			return nil, nil, err
		}
		if err != nil {
			return nil, nil, &DamageError{File: l.path(s.part), Offset: at, What: err.Error()}
		}
		frames = append(frames, fr)
		at, sum = at+h.size(), h.sum
		if at > s.in.size {
			return nil, &DamageError{File: l.path(s.part), Offset: s.in.size, Chunk: fr.record.Chunk, Known: fr.kind == chunkKind, What: "the file ends here"}, nil
		}
		if h.last {
			return frames, nil, nil
		}
	}
}

// torn decides whether an incomplete commit is damage, or was being written when the last process ended.
func (s *scan) torn(at int64, bad *DamageError) error {
	if s.part < len(s.have)-1 {
		return bad
	}
	next := s.f.log.Commit + 1
	newest, err := s.in.newest(at)
	switch {
	case err != nil:
		return err
	case newest > next:
		return bad
	}
	return s.checkWhole(newest == next)
}

// checkWhole reads the bodies of the last commit whose frames are complete. All earlier commits are known to have been
// durable.
func (s *scan) checkWhole(proven bool) error {
	reader := newPartReader(s.f.log)
	defer reader.close()
	for i := range s.whole {
		r := &s.whole[i].record
		err := reader.copy(io.Discard, r.Outputs, r)
		if err == nil {
			err = reader.copy(io.Discard, r.Dead, r)
		}
		if err == nil {
			continue
		}
		if proven || !errors.Is(err, ErrDamaged) {
			return err
		}
		s.f.log.mark, s.f.log.parts[s.part], s.whole = s.before, s.begins, nil
		return nil
	}
	return nil
}

// apply applies the last complete commit.
func (s *scan) apply(next *state) error {
	for i := range s.whole {
		if err := s.f.apply(next, &s.whole[i]); err != nil {
			return err
		}
	}
	s.whole = nil
	return nil
}

// A frameReader reads the frames of one part through a window: one read returns many short frames, and skips long
// bodies.
type frameReader struct {
	file   file
	size   int64
	window []byte
	begins int64
}

const windowSize = 4096

// read reads the frame at a byte; what describes an error in it.
func (in *frameReader) read(at int64) (h head, header []byte, what string, err error) {
	b, err := in.bytes(at, prefixSize)
	if err != nil || b == nil {
		return h, nil, "the file ends here", err
	}
	h, ok := decodeHead(b)
	if !ok {
		return h, nil, "no record begins here", nil
	}
	if b, err = in.bytes(at, prefixSize+h.header); err != nil || b == nil {
		return h, nil, "the file ends within a record", err
	}
	header = b[prefixSize:]
	if frameSum(b[:prefixSize], header) != h.sum {
		return h, nil, "the record here does not have the checksum it was written with", nil
	}
	return h, header, "", nil
}

// bytes returns n bytes, valid until the next call, or nil if the file ends before.
func (in *frameReader) bytes(at int64, n int) ([]byte, error) {
	if at+int64(n) > in.size {
		return nil, nil
	}
	if at < in.begins || at+int64(n) > in.begins+int64(len(in.window)) {
		size := int(min(int64(max(n, windowSize)), in.size-at))
		if cap(in.window) < size {
			in.window = make([]byte, size)
		}
		in.window, in.begins = in.window[:size], at
		if read, err := in.file.ReadAt(in.window, at); read < size {
			in.window = in.window[:0]
			return nil, fmt.Errorf("read log at byte %d: %w", at, err)
		}
	}
	from := int(at - in.begins)
	return in.window[from : from+n], nil
}

// newest searches for frames after a byte, at any offset, and returns the highest commit number among them; 0 if there
// are none.
func (in *frameReader) newest(at int64) (commit uint64, err error) {
	b := make([]byte, min(1<<20, in.size-at))
	magic := []byte(frameMagic)
	for ; at < in.size; at += int64(len(b) - len(magic) + 1) {
		b = b[:min(int64(len(b)), in.size-at)]
		if n, err := in.file.ReadAt(b, at); n < len(b) {
			return 0, fmt.Errorf("read log at byte %d: %w", at, err)
		}
		for from := 0; ; from++ {
			i := bytes.Index(b[from:], magic)
			if i < 0 {
				break
			}
			from += i
			h, _, what, err := in.read(at + int64(from))
			if err != nil {
				return 0, err
			}
			if what == "" {
				commit = max(commit, h.commit)
			}
		}
		if len(b) < len(magic) {
			break
		}
	}
	return commit, nil
}

// mend makes the recovered data durable before anyone sees it, and truncates the tail.
func (f *Folder) mend(job string, t tail) error {
	last := len(f.log.parts) - 1
	var err error
	if t.bytes > 0 {
		err = f.log.cut(last, f.log.parts[last])
	}
	if err == nil && t.rewrite >= 0 {
		err = f.log.rewrite(t.rewrite)
	}
	if errors.Is(err, errSync) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err) // also if it is ENOSPC
	}
	if err != nil {
		return err
	}
	if err := removeIfThere(f.fs, filepath.Join(f.dir, newPart)); err != nil {
		return err
	}
	if err := errors.Join(f.fs.SyncDir(f.dir), f.syncAbove(f.dir)); err != nil {
		return fmt.Errorf("%w: sync folder: %w", ErrUnreachable, err)
	}
	if is := f.state.Load().claims; is.Job != job {
		rebound := *is
		rebound.Job = job
		if err := f.append([]frame{{kind: claimsKind, claims: &rebound}}); err != nil {
			return err
		}
	}
	f.index.write(f.log, f.state.Load())
	return nil
}
