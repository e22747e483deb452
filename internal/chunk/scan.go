package chunk

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// Format says how the objects of a stream are written.
type Format uint8

const (
	// Auto finds out by looking at the stream's beginning; see package doc.
	Auto Format = iota
	// Lines is JSON Lines: one value a line.
	Lines
	// Array is one JSON array after the other; its elements are the objects.
	Array
	// Values is one JSON value after the other, wherever lines end.
	Values
)

var formatNames = [...]string{Auto: "auto", Lines: "lines", Array: "array", Values: "values"}

// String returns the format's word.
func (f Format) String() string { return formatNames[f] }

// ParseFormat reads a format's word; "" is auto.
func ParseFormat(word string) (Format, error) {
	if word == "" {
		return Auto, nil
	}
	if i := slices.Index(formatNames[:], word); i >= 0 {
		return Format(i), nil
	}
	return Auto, fmt.Errorf("format %q: use auto, lines, array or values", word)
}

// first is the phase in which a stream of the format begins.
func (f Format) first() phase {
	switch f {
	case Array:
		return beforeAll
	case Values:
		return inValues
	case Auto, Lines:
	}
	return inLines
}

// A Place is a point of a stream where scanning can go on: between two
// objects. It is comparable; the zero value is the beginning of a stream.
type Place struct {
	File   int   // which file of the source, from 0; the scanner only carries it along
	Offset int64 // bytes, after decompression, from the beginning of the stream
	Line   int64 // from 1; 0 stands for 1
	phase  phase
}

// phase is where the scanner is in the grammar of its stream.
type phase uint8

const (
	atStart    phase = iota // nothing read: the format must be found out
	inLines                 // at the beginning of a line
	inEither                // as inLines; all lines so far would be the same as values
	inValues                // between two values
	beforeAll               // before the '[' of an array
	afterOpen               // behind '[': an element or ']' follows
	afterItem               // behind an element: ',' or ']' follows
	afterComma              // behind ',': an element follows
	afterAll                // behind ']'
)

// An Object is one object of a stream, as Scanner.Next returns it.
type Object struct {
	// Bytes is the object, without line break. It is overwritten by the next
	// call of Next.
	Bytes []byte
	// Flaw says what is wrong with the object; "" says that it is valid.
	Flaw string
	// Place is where scanning must begin to give this object first.
	Place Place
}

// ScanOptions says how to scan a stream.
type ScanOptions struct {
	Format Format
	At     Place  // where the stream handed over begins; zero: at its beginning
	Name   string // the stream's name, for flaws; "": not named

	// Decide turns what Auto finds into a format; nil: Guess.Format. Its
	// error ends the scanning.
	Decide func(Guess) (Format, error)

	Buffer int // bytes of the buffer to begin with; 0 means 256 KiB
}

const (
	bufferSize = 256 << 10

	// shrinkAbove is the buffer size from which a buffer that has grown for
	// a large object is given back when small ones follow.
	shrinkAbove = 4 << 20

	// lookAhead is how many bytes from its '[' on may be read to tell an
	// array from lines that hold arrays.
	lookAhead = 1 << 20
)

// A Scanner cuts one stream into objects. The package doc says by which rules.
//
// It holds no more of the stream than one buffer: 256 KiB, or as much as the
// largest object so far, up to MaxObject.
type Scanner struct {
	r       io.Reader
	ended   bool  // r is at its end
	readErr error // what else r ended with; sticky
	opts    ScanOptions
	max     int // MaxObject; less in tests

	// buf[start:end] is read but not consumed; place describes buf[start].
	// Invariant: 0 <= start <= end <= len(buf).
	buf        []byte
	start, end int
	place      Place

	check checker
}

// NewScanner returns a scanner of r, which must stand at o.At.
func NewScanner(r io.Reader, o ScanOptions) *Scanner {
	if o.Buffer <= 0 {
		o.Buffer = bufferSize
	}
	s := &Scanner{r: r, opts: o, max: MaxObject, buf: make([]byte, o.Buffer), place: o.At}
	s.place.Line = max(s.place.Line, 1)
	return s
}

// Next returns the next object: a valid one or one with a flaw. It returns
// io.EOF behind the last one, the reader's error if there is one, and an
// InputError where the stream cannot be cut: objects that were read whole before
// the error have been returned by then, a torn one never is. If the error comes
// while the format is being found out, no object has been returned.
func (s *Scanner) Next() (Object, error) {
	before := s.place
	if s.place.phase == atStart {
		if err := s.detect(); err != nil {
			return Object{}, err
		}
	}
	next := s.nextElement
	if p := s.place.phase; p == inLines || p == inEither {
		next = s.nextLine
	} else if p == inValues {
		next = s.nextValue
	}
	object, err := next()
	object.Place = before
	return object, err
}

// Place returns where the scanner is: behind the last object returned or, if
// that is where an error occurred, before the bytes that could not be read.
func (s *Scanner) Place() Place { return s.place }

// window returns what is read but not consumed.
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

// fill reads more behind the window and says whether there is more now; if not
// and there is no error, the stream is at its end. Slices of the window are void
// afterwards.
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

// makeRoom brings the window to the front of the buffer, and changes the
// buffer's size where the window asks for it. At most one object is in the
// window then, so little is moved for every buffer read.
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

// peek makes the window at least n bytes long, if there is so much.
func (s *Scanner) peek(n int) error {
	for s.end-s.start < n {
		if more, err := s.fill(); !more {
			return err
		}
	}
	return nil
}

// where names a place to a person.
func (s *Scanner) where(p Place) string {
	where := fmt.Sprintf("line %d, byte %d", p.Line, p.Offset)
	if s.opts.Name != "" {
		where = s.opts.Name + ", " + where
	}
	return where
}
