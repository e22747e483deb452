package sink

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// A partReader reads ranges of a folder's parts and checks them. It has its
// own descriptors, so it never meets those of the writer. Not for concurrent
// use.
type partReader struct {
	fs    fileSystem
	open  map[string]file
	chunk []byte // one read at a time
}

const (
	readSize = 512 << 10
	// maxReaders bounds the open files. Chunks lie about in order, so there
	// are seldom more than two parts in turn.
	maxReaders = 8
)

func newPartReader(fs fileSystem) *partReader {
	return &partReader{fs: fs, open: make(map[string]file), chunk: make([]byte, readSize)}
}

// copy writes the bytes of a range to w. A range up to readSize is checked
// before it is written, a longer one when it has been: do not use what was
// written if an error is returned.
func (p *partReader) copy(w io.Writer, s *series, r Range, of *Record) error {
	if r.Length == 0 {
		return nil
	}
	path := s.path(r.Part)
	f, err := p.file(path)
	if err != nil {
		return fmt.Errorf("open part: %w", err)
	}
	var sum uint32
	for at := int64(0); at < r.Length; {
		b := p.chunk[:min(readSize, r.Length-at)]
		n, err := f.ReadAt(b, r.Offset+at)
		if n < len(b) {
			if errors.Is(err, io.EOF) {
				return &DamageError{File: path, Offset: r.Offset + at + int64(n), Chunk: of.Chunk, Known: true, What: "the file ends here"}
			}
			return fmt.Errorf("read part at byte %d: %w", r.Offset+at, err)
		}
		at += int64(n)
		sum = crc32.Update(sum, castagnoli, b)
		if at == r.Length && sum != r.Sum {
			return &DamageError{File: path, Offset: r.Offset, Chunk: of.Chunk, Known: true,
				What: fmt.Sprintf("the %d bytes here do not have the checksum they were written with", r.Length)}
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// append appends the bytes of a range to b.
func (p *partReader) append(b []byte, s *series, r Range, of *Record) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	if free := int64(cap(b) - len(b)); free < r.Length {
		buf.Grow(int(r.Length))
	}
	if err := p.copy(buf, s, r, of); err != nil {
		return b, err
	}
	return buf.Bytes(), nil
}

func (p *partReader) file(path string) (file, error) {
	if f := p.open[path]; f != nil {
		return f, nil
	}
	if len(p.open) == maxReaders {
		if err := p.close(); err != nil {
			return nil, err
		}
	}
	f, err := p.fs.OpenFile(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	p.open[path] = f
	return f, nil
}

func (p *partReader) close() error {
	var errs []error
	for path, f := range p.open {
		errs = append(errs, f.Close())
		delete(p.open, path)
	}
	return errors.Join(errs...)
}
