package sink

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// A partReader reads records and their bodies from the log, and checks them. It has its own descriptors, separate from
// the writer's. Not for concurrent use.
type partReader struct {
	log   *log
	open  map[int]file // by part
	chunk []byte       // one read at a time
}

const (
	readSize = 512 << 10
	// maxReaders bounds the open files. Chunks are stored roughly in order, so reading seldom alternates between more
	// than two parts.
	maxReaders = 8
)

func newPartReader(l *log) *partReader { return &partReader{log: l, open: make(map[int]file)} }

// record reads the record of a piece.
func (p *partReader) record(of Placed) (Record, error) {
	part, at := of.At.part(), of.At.offset()
	f, err := p.file(part)
	if err != nil {
		return Record{}, fmt.Errorf("open log: %w", err)
	}
	damaged := func(what string) error {
		return &DamageError{File: p.log.path(part), Offset: at, Chunk: of.ID, Known: true, What: what}
	}
	b := p.buffer(usualRecord)
	if n, err := f.ReadAt(b, at); n < prefixSize {
		return Record{}, endOr(err, damaged("the file ends here"))
	}
	h, ok := decodeHead(b)
	if !ok || h.kind != chunkKind {
		return Record{}, damaged("no record of the chunk begins here")
	}
	whole := prefixSize + h.header
	if whole > len(b) {
		b = make([]byte, whole)
		if n, err := f.ReadAt(b, at); n < whole {
			return Record{}, endOr(err, damaged("the file ends within the record here"))
		}
	}
	header := b[prefixSize:whole]
	if frameSum(b[:prefixSize], header) != h.sum {
		return Record{}, damaged("the record here does not have the checksum it was written with")
	}
	fr, err := h.decode(header, part, at)
	if err == nil && fr.record.Entry() != of.Entry {
		err = damaged(fmt.Sprintf("the record here is of chunk %d from object %d on", fr.record.Chunk, fr.record.From))
	}
	return fr.record, err
}

// usualRecord is how many bytes are read for a record at first; that is seldom too few.
const usualRecord = 512

// endOr returns damage if a file ends too early, else err.
func endOr(err, damage error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return damage
	}
	return fmt.Errorf("read log: %w", err)
}

// buffer returns the buffer for one read.
func (p *partReader) buffer(n int64) []byte {
	if int64(len(p.chunk)) < n {
		p.chunk = make([]byte, n)
	}
	return p.chunk[:n]
}

// copy writes the bytes of a range to w. It checks a range of up to readSize before writing it, and a longer one
// afterwards: do not use the written bytes if it returns an error.
func (p *partReader) copy(w io.Writer, r Range, of *Record) error {
	if r.Length == 0 {
		return nil
	}
	f, err := p.file(r.Part)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	damaged := func(at int64, what string) error {
		return &DamageError{File: p.log.path(r.Part), Offset: at, Chunk: of.Chunk, Known: true, What: what}
	}
	var sum uint32
	for at := int64(0); at < r.Length; {
		b := p.buffer(min(readSize, r.Length-at))
		n, err := f.ReadAt(b, r.Offset+at)
		if n < len(b) {
			return endOr(err, damaged(r.Offset+at+int64(n), "the file ends here"))
		}
		at += int64(n)
		sum = crc32.Update(sum, castagnoli, b)
		if at == r.Length && sum != r.Sum {
			return damaged(r.Offset, fmt.Sprintf("the %d bytes here do not have the checksum they were written with", r.Length))
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// append appends the bytes of a range to b.
func (p *partReader) append(b []byte, r Range, of *Record) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	if free := int64(cap(b) - len(b)); free < r.Length {
		buf.Grow(int(r.Length))
	}
	if err := p.copy(buf, r, of); err != nil {
		return b, err
	}
	return buf.Bytes(), nil
}

func (p *partReader) file(part int) (file, error) {
	if f := p.open[part]; f != nil {
		return f, nil
	}
	if len(p.open) == maxReaders {
		if err := p.close(); err != nil {
			return nil, err
		}
	}
	f, err := p.log.fs.OpenFile(p.log.path(part), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	p.open[part] = f
	return f, nil
}

func (p *partReader) close() error {
	var errs []error
	for part, f := range p.open {
		errs = append(errs, f.Close())
		delete(p.open, part)
	}
	return errors.Join(errs...)
}
