package sink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// A series is a sequence of part files that are only appended to: the results,
// or the dead letters. A group of commits goes through it like this:
//
//	add, add, … ──▶ sync ──▶ (index transaction) ──▶ settle
//	     └────────────┴──▶ undo: back to the committed end
//
// Invariant, between groups: parts is what the index says, and every file ends
// where its part does.
type series struct {
	fs    fileSystem
	dir   string // of the part files
	name  string
	limit int64 // bytes; a part that would grow beyond it is followed by the next
	buf   []byte

	parts []part // committed
	last  file   // the last part, if it is open for writing

	// The group that is being written. grown is parts as they will be,
	// including what is still in buf; touched are the files written to.
	grown   []part
	touched map[int]file
	made    bool // a file was made: the directory must be synced
}

const (
	resultSeries = "results"
	deadSeries   = "dead"
	partsName    = "parts"

	// bufferSize is how much is collected for one write. Bodies of half of it
	// and more are written from where they are.
	bufferSize = 512 << 10
)

func newSeries(fs fileSystem, dir, name string, limit int64) *series {
	return &series{fs: fs, dir: filepath.Join(dir, partsName), name: name, limit: limit}
}

func (s *series) path(part int) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s-%05d.jsonl", s.name, part))
}

// begin starts a group.
func (s *series) begin() {
	s.grown = slices.Clone(s.parts)
	s.touched = make(map[int]file)
	s.made = false
}

// add appends a body. It lies in the file only after sync.
func (s *series) add(body []byte) (Range, error) {
	if len(body) == 0 {
		return Range{}, nil
	}
	if err := s.room(int64(len(body))); err != nil {
		return Range{}, err
	}
	n := len(s.grown) - 1
	r := Range{Part: n, Offset: s.grown[n].Size, Length: int64(len(body)), Sum: checksum(body)}
	if len(s.buf)+len(body) > bufferSize || len(body) >= bufferSize/2 {
		if err := s.flush(); err != nil {
			return Range{}, err
		}
	}
	if len(body) >= bufferSize/2 {
		if err := writeFull(s.touched[n], body, r.Offset); err != nil {
			return Range{}, fmt.Errorf("write part: %w", err)
		}
	} else {
		if s.buf == nil {
			s.buf = make([]byte, 0, bufferSize)
		}
		s.buf = append(s.buf, body...)
	}
	s.grown[n].Size += int64(len(body))
	return r, nil
}

// room sees to it that the last part is open and takes n more bytes.
func (s *series) room(n int64) error {
	last := len(s.grown) - 1
	if last < 0 || s.grown[last].Size > 0 && s.grown[last].Size > s.limit-n {
		return s.roll()
	}
	if s.touched[last] != nil {
		return nil
	}
	if s.last == nil {
		f, err := s.fs.OpenFile(s.path(last), os.O_RDWR)
		if err != nil {
			return fmt.Errorf("open part: %w", err)
		}
		s.last = f
	}
	s.touched[last] = s.last
	return nil
}

// roll makes the next part file.
func (s *series) roll() error {
	if err := s.flush(); err != nil {
		return err
	}
	n := len(s.grown)
	f, err := s.fs.OpenFile(s.path(n), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return fmt.Errorf("create part: %w", err)
	}
	s.grown = append(s.grown, part{})
	s.touched[n] = f
	s.made = true
	return nil
}

// flush writes the buffer.
func (s *series) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	n := len(s.grown) - 1
	if err := writeFull(s.touched[n], s.buf, s.grown[n].Size-int64(len(s.buf))); err != nil {
		return fmt.Errorf("write part: %w", err)
	}
	s.buf = s.buf[:0]
	return nil
}

// sync makes the group's bytes durable, and the names of new files. What it
// returns is final: a failed sync is never repeated, for the kernel may have
// dropped the pages and will say yes the second time.
func (s *series) sync() error {
	for _, f := range s.touched {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync part: %w", err)
		}
	}
	if !s.made {
		return nil
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// waste counts a committed range as garbage, with the group.
func (s *series) waste(r Range) {
	if r.Length > 0 {
		s.grown[r.Part].Garbage += r.Length
	}
}

// put writes the group's part entries into the index.
func (s *series) put(tx *bolt.Tx) error { return putParts(tx, s.name, s.parts, s.grown) }

// settle ends a group that the index has.
func (s *series) settle() error {
	s.parts, s.grown = s.grown, nil
	if len(s.touched) == 0 {
		return nil
	}
	newest := len(s.parts) - 1
	var errs []error
	if s.last != nil && s.last != s.touched[newest] {
		errs = append(errs, s.last.Close())
	}
	for n, f := range s.touched {
		if n != newest && f != s.last {
			errs = append(errs, f.Close())
		}
	}
	s.last = s.touched[newest]
	s.touched = nil
	return errors.Join(errs...)
}

// undo ends a group that is not to be: files go back to their committed size
// and new ones are removed. It uses a fresh descriptor, since the old one has
// just failed.
func (s *series) undo() error {
	s.buf = s.buf[:0]
	var errs []error
	if s.last != nil {
		errs = append(errs, s.last.Close())
	}
	for n, f := range s.touched {
		if f != s.last {
			errs = append(errs, f.Close())
		}
		if n >= len(s.parts) {
			errs = append(errs, s.fs.Remove(s.path(n)))
			continue
		}
		errs = append(errs, s.cut(n))
	}
	s.last, s.touched, s.grown = nil, nil, nil
	return errors.Join(errs...)
}

// cut takes off what lies behind the committed end of a part, if anything, for
// good: once another part follows, a tail that comes back after a power cut
// would be damage.
func (s *series) cut(n int) error {
	f, err := s.fs.OpenFile(s.path(n), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open part: %w", err)
	}
	if err := f.Truncate(s.parts[n].Size); err != nil {
		return errors.Join(fmt.Errorf("cut part back to %d bytes: %w", s.parts[n].Size, err), f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync part: %w", err)
	}
	return nil
}

// close closes what is open.
func (s *series) close() error {
	var errs []error
	for _, f := range s.touched {
		if f != s.last {
			errs = append(errs, f.Close())
		}
	}
	if s.last != nil {
		errs = append(errs, s.last.Close())
	}
	s.last, s.touched = nil, nil
	return errors.Join(errs...)
}
