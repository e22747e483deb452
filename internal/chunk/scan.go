package chunk

import (
	"bytes"
	"fmt"
	"io"
)

// A Place is a position between two objects of a stream, at which scanning can continue. It is comparable; the zero
// value is the beginning of a stream.
type Place struct {
	File   int   // the file's index in the source, which the scanner only copies
	Offset int64 // bytes after decompression, from the beginning of the stream
	Line   int64 // from 1; 0 means 1
	phase  phase
}

// phase is the scanner's state in the grammar of its stream.
type phase uint8

const (
	atStart    phase = iota // nothing read; the format is not known yet
	inLines                 // at the beginning of a line
	inEither                // as inLines; all lines so far look the same in values
	inValues                // between two values
	inRows                  // at the beginning of a row, after the header
	beforeAll               // before the '[' of an array
	afterOpen               // after '[': an element or ']' follows
	afterItem               // after an element: ',' or ']' follows
	afterComma              // after ',': an element follows
	afterAll                // after ']'
)

// An Object is one object of a stream, as Scanner.Next returns it.
type Object struct {
	// Bytes is the object without a line break. The next call of Next overwrites it.
	Bytes []byte
	// Flaw says what is wrong with the object; "" if it is valid.
	Flaw string
	// Place is where scanning must begin to return this object first.
	Place Place
}

// ScanOptions are the options of a Scanner.
type ScanOptions struct {
	Format Format
	Table  Table  // of the format CSV; Columns must be set unless At is the beginning
	At     Place  // the position of the reader in the stream; zero is the beginning
	Name   string // the stream's name in flaws; "" leaves it out

	// Decide turns the guess of Auto into a format; nil means Guess.Format. If it fails, the scan ends with its error.
	Decide func(Guess) (Format, error)

	Buffer int // initial buffer size in bytes; 0 means 256 KiB
}

const (
	bufferSize = 256 << 10

	// shrinkAbove is the size above which a buffer that has grown for a large object is released when small ones
	// follow.
	shrinkAbove = 4 << 20

	// lookAhead is how many bytes may be read to detect the format.
	lookAhead = 1 << 20
)

// A Scanner cuts one stream into objects, by the rules in the package doc.
//
// It holds one buffer of the stream: 256 KiB, or as much as the largest object so far, up to MaxObject.
type Scanner struct {
	r       io.Reader
	ended   bool  // r is at its end
	readErr error // the error other than io.EOF that r returned; sticky
	opts    ScanOptions
	max     int // MaxObject; smaller in tests

	// buf[start:end] is read but not consumed; place describes buf[start]. Invariant: 0 <= start <= end <= len(buf).
	buf        []byte
	start, end int
	place      Place

	rows *rows // of a table
}

// NewScanner returns a Scanner of r, which must be at position o.At.
func NewScanner(r io.Reader, o ScanOptions) *Scanner {
	if o.Buffer <= 0 {
		o.Buffer = bufferSize
	}
	s := &Scanner{r: r, opts: o, max: MaxObject, buf: make([]byte, o.Buffer), place: o.At}
	s.place.Line = max(s.place.Line, 1)
	if o.Format == CSV {
		s.rows = newRows(o.Table)
	}
	return s
}

// Next returns the next object, valid or with a flaw. It returns io.EOF after the last object, the reader's error, or
// an InputError if the stream cannot be cut. Before an error it has returned all complete objects that precede it, and
// never an incomplete one. If the format cannot be detected, it returns no object.
func (s *Scanner) Next() (Object, error) {
	before := s.place
	if s.place.phase == atStart {
		if err := s.detect(); err != nil {
			return Object{}, err
		}
	}
	next := s.nextElement
	switch s.place.phase {
	case inLines, inEither:
		next = s.nextLine
	case inValues:
		next = s.nextValue
	case inRows:
		next = s.nextRow
	case atStart, beforeAll, afterOpen, afterItem, afterComma, afterAll:
	}
	object, err := next()
	object.Place = before
	return object, err
}

// Place returns the scanner's position: after the last object returned or, after an error, before the bytes that could
// not be read.
func (s *Scanner) Place() Place { return s.place }

// window returns the unconsumed bytes in the buffer.
func (s *Scanner) window() []byte { return s.buf[s.start:s.end] }

// advance consumes n bytes of the window; it does not count lines.
func (s *Scanner) advance(n int) {
	s.start += n
	s.place.Offset += int64(n)
}

// advanceLines consumes n bytes of the window and counts their line breaks.
func (s *Scanner) advanceLines(n int) {
	s.place.Line += int64(bytes.Count(s.window()[:n], newline))
	s.advance(n)
}

var newline = []byte{'\n'}

// fill reads more bytes into the window and returns whether any came; if not, and without an error, the stream is at
// its end. It invalidates slices of the window.
func (s *Scanner) fill() (more bool, err error) {
	if s.ended || s.readErr != nil {
		return false, s.readErr
	}
	s.makeRoom()
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if err == io.EOF {
			s.ended = true
		} else {
			s.readErr = err
		}
		switch {
		case n > 0:
			return true, nil
		case err != nil:
			return false, s.readErr
		}
	}
	s.readErr = io.ErrNoProgress
	return false, s.readErr
}

// makeRoom moves the window to the front of the buffer and adjusts the buffer's size. The window then holds at most one
// object, so little is moved for each buffer read.
func (s *Scanner) makeRoom() {
	held, size := s.end-s.start, len(s.buf)
	most := max(s.max, 2*lookAhead) + s.opts.Buffer
	switch {
	case size-held <= size/4 && size < most: // growing by a factor keeps the copying linear
		size = min(2*size, most)
	case size > shrinkAbove && held < s.opts.Buffer/2:
		size = s.opts.Buffer
	}
	to := s.buf
	if size != len(s.buf) {
		to = make([]byte, size)
	}
	copy(to, s.window())
	s.buf, s.start, s.end = to, 0, held
}

// peek makes the window at least n bytes long, if the stream has that many.
func (s *Scanner) peek(n int) error {
	for s.end-s.start < n {
		if more, err := s.fill(); !more {
			return err
		}
	}
	return nil
}

// where describes a place for an operator.
func (s *Scanner) where(p Place) string {
	where := fmt.Sprintf("line %d, byte %d", p.Line, p.Offset)
	if s.opts.Name != "" {
		where = s.opts.Name + ", " + where
	}
	return where
}
