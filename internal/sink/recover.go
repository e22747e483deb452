package sink

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"github.com/chunkline/chunkline/internal/failpoint"
)

// recover brings an opened folder to its committed state: first it checks all
// that is committed, and changes nothing if something is wrong; then it takes
// off what a crash left behind the committed end.
func (f *Folder) recover(job string) error {
	f.results = newSeries(f.fs, f.dir, resultSeries, f.o.PartBytes)
	f.dead = newSeries(f.fs, f.dir, deadSeries, f.o.PartBytes)
	f.recovered.FellBack = f.index.fellBack
	if err := f.index.view(f.loadIndex); err != nil {
		return err
	}
	if have := f.state.Load().claims.Job; job != "" && have != job && !f.rebindable() {
		return fmt.Errorf("%w: it holds job %s, not %s; use another folder", ErrOtherJob, have, job)
	}
	var tails []tail
	for _, s := range f.series() {
		t, err := s.survey()
		if err != nil {
			return err
		}
		tails = append(tails, t)
		f.recovered.Bytes += t.bytes
		f.recovered.Files += len(t.strays)
	}
	if err := f.index.view(f.checkChunks); err != nil {
		return err
	}
	if f.o.ReadOnly {
		return nil
	}
	failpoint.Hit("sink.checked")
	return f.mend(job, tails)
}

// rebindable: nobody has used the folder yet, so its job is not settled.
func (f *Folder) rebindable() bool { return f.state.Load().claims.Plan == nil && !f.o.ReadOnly }

func (f *Folder) loadIndex(tx *bolt.Tx) error {
	s, err := load(tx)
	if err == nil {
		f.state.Store(s)
		f.results.parts, err = loadParts(tx, resultSeries)
	}
	if err == nil {
		f.dead.parts, err = loadParts(tx, deadSeries)
	}
	if entries := len(f.results.parts) + len(f.dead.parts); err == nil && tx.Bucket(partBucket).Inspect().KeyN != entries {
		err = fmt.Errorf("bucket %s has other entries than the %d of parts", partBucket, entries)
	}
	if err != nil && !errors.Is(err, ErrFormat) {
		return &DamageError{File: f.index.path, Offset: -1, What: err.Error()}
	}
	return err
}

// tail is what lies behind the committed end of a series.
type tail struct {
	series *series
	cut    bool  // the last part is longer than committed
	bytes  int64 // in the last part and the strays
	strays []string
}

var partName = regexp.MustCompile(`^(results|dead)-([0-9]{5,})\.jsonl$`)

// survey compares the part files with the index.
func (s *series) survey() (tail, error) {
	t := tail{series: s}
	for n, p := range s.parts {
		path := s.path(n)
		info, err := s.fs.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return t, &DamageError{File: path, Offset: -1, What: fmt.Sprintf("the file is missing; %d bytes of it are committed", p.Size)}
		}
		if err != nil {
			return t, err
		}
		more := info.Size() - p.Size
		if more < 0 || more > 0 && n < len(s.parts)-1 {
			return t, &DamageError{File: path, Offset: min(info.Size(), p.Size),
				What: fmt.Sprintf("the file has %d bytes, %d are committed", info.Size(), p.Size)}
		}
		t.cut = more > 0
		t.bytes += more
	}
	entries, err := s.fs.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	for _, e := range entries {
		m := partName.FindStringSubmatch(e.Name())
		if m == nil || m[1] != s.name {
			continue
		}
		if n, err := strconv.Atoi(m[2]); err == nil && n < len(s.parts) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return t, err
		}
		t.bytes += info.Size()
		t.strays = append(t.strays, filepath.Join(s.dir, e.Name()))
	}
	return t, nil
}

// checkChunks reads every record and, unless the folder is only read, every
// byte that is committed. Its memory does not grow with the folder, see coverage.
func (f *Folder) checkChunks(tx *bolt.Tx) error {
	reader := newPartReader(f.fs)
	defer reader.close()
	covered := [2][]coverage{make([]coverage, len(f.results.parts)), make([]coverage, len(f.dead.parts))}
	var sum totals
	c := tx.Bucket(chunkBucket).Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		r, err := decodeRecord(key, value)
		if err != nil {
			return &DamageError{File: f.index.path, Offset: -1, What: fmt.Sprintf("entry %x: %v", key, err)}
		}
		sum.add(&r)
		for i, place := range [2]Range{r.Outputs, r.Dead} {
			s := f.series()[i]
			if err := s.admit(covered[i], place, &r); err != nil {
				return err
			}
			if f.o.ReadOnly {
				continue
			}
			if err := reader.copy(io.Discard, s, place, &r); err != nil {
				return err
			}
		}
	}
	have := f.state.Load().totals
	sum.Change, sum.Content = have.Change, have.Content
	if sum != have {
		return &DamageError{File: f.index.path, Offset: -1, What: fmt.Sprintf("its entries add up to %+v, it says %+v", sum, have)}
	}
	for i, s := range f.series() {
		for n, p := range s.parts {
			if used := covered[i][n].bytes(); used+p.Garbage != p.Size {
				return &DamageError{File: s.path(n), Offset: -1,
					What: fmt.Sprintf("%d bytes are committed, but %d belong to chunks and %d are garbage", p.Size, used, p.Garbage)}
			}
		}
	}
	return nil
}

// admit checks that a range lies within the committed bytes and overlaps no
// other.
func (s *series) admit(covered []coverage, r Range, of *Record) error {
	if r.Length == 0 {
		return nil
	}
	if r.Part < 0 || r.Part >= len(s.parts) || r.Offset < 0 || r.Length < 0 || r.Offset > s.parts[r.Part].Size-r.Length {
		return &DamageError{File: s.path(r.Part), Offset: r.Offset, Chunk: of.Chunk, Known: true,
			What: fmt.Sprintf("its %d bytes are not among the committed ones", r.Length)}
	}
	if !covered[r.Part].add(r.Offset, r.Offset+r.Length) {
		return &DamageError{File: s.path(r.Part), Offset: r.Offset, Chunk: of.Chunk, Known: true,
			What: fmt.Sprintf("its %d bytes overlap those of another chunk", r.Length)}
	}
	return nil
}

// mend makes what was found durable, before anybody is told what it says, and
// takes off the tails. The transaction at its end leaves both meta pages of the
// index with the same content.
func (f *Folder) mend(job string, tails []tail) error {
	if err := f.index.anchor(); err != nil {
		return err
	}
	for _, t := range tails {
		if err := t.remove(); err != nil {
			return err
		}
	}
	if err := f.fs.Mkdir(f.results.dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := removeIfThere(f.fs, filepath.Join(f.dir, newIndexName)); err != nil {
		return err
	}
	err := errors.Join(f.fs.SyncDir(f.results.dir), f.fs.SyncDir(f.dir), f.syncAbove(f.dir))
	if err != nil {
		return fmt.Errorf("%w: sync folder: %w", ErrUnreachable, err)
	}
	next := f.state.Load().next()
	if next.claims.Job != job {
		rebound := *next.claims
		rebound.Job = job
		next.claims = &rebound
	}
	err = f.transact(next, nil)
	if err != nil && !errors.Is(err, ErrFull) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err) // a failed sync, whatever it says
	}
	return err
}

// remove takes off what is behind the committed end.
func (t *tail) remove() error {
	for _, path := range t.strays {
		if err := t.series.fs.Remove(path); err != nil {
			return fmt.Errorf("remove what was not committed: %w", err)
		}
	}
	if !t.cut {
		return nil
	}
	if err := t.series.cut(len(t.series.parts) - 1); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err) // a failed sync, whatever it says
	}
	return nil
}
