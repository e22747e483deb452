package chunk

import "bytes"

// Format is how the objects of a stream are written.
type Format uint8

const (
	// Auto detects the format from the beginning of the stream; see the package doc.
	Auto Format = iota
	// Lines is JSON Lines: one value a line.
	Lines
	// Array is one JSON array after another; their elements are the objects.
	Array
	// Values is one JSON value after another, no matter where lines end.
	Values
	// CSV is the rows of a table; see Table. It is never detected.
	CSV
)

var formatNames = [...]string{Auto: "auto", Lines: "lines", Array: "array", Values: "values", CSV: "csv"}

// String returns the name of the format.
func (f Format) String() string { return formatNames[f] }

// first returns the phase in which a stream of the format begins.
func (f Format) first() phase {
	switch f {
	case Array:
		return beforeAll
	case Values:
		return inValues
	case CSV:
		return inRows
	case Auto, Lines:
	}
	return inLines
}

// detect decides how the objects of the stream are written. It consumes a byte order mark and blank lines, and sets the
// phase.
func (s *Scanner) detect() error {
	if err := s.skipMark(); err != nil {
		return err
	}
	format := s.opts.Format
	if format == CSV {
		return s.beginRows()
	}
	if format == Auto {
		guess, err := s.guess()
		if err != nil {
			return err
		}
		if format, err = s.formatOf(guess); err != nil {
			return err
		}
	}
	s.place.phase = format.first()
	if s.opts.Format == Auto && format == Lines {
		s.place.phase = inEither
	}
	return nil
}

// formatOf turns a guess into a format. Decide, if set, knows the other files of the job.
func (s *Scanner) formatOf(g Guess) (Format, error) {
	if s.opts.Decide != nil {
		return s.opts.Decide(g)
	}
	return g.Format(), nil
}

// skipMark skips a byte order mark.
func (s *Scanner) skipMark() error {
	for n := 1; n <= len(mark); n++ { // read no more than needed: the next byte may take long to arrive
		if err := s.peek(n); err != nil {
			return err
		}
		if !bytes.HasPrefix(s.window(), mark[:n]) {
			break
		}
		if n == len(mark) {
			s.advance(n)
		}
	}
	return nil
}

// mark is the byte order mark that some programs put before UTF-8.
var mark = []byte("\ufeff")

// continuesAsValues reports whether the line at the front of the window, which is not valid, begins a value that spans
// lines, so that the stream is values. All lines before it look the same in lines and in values.
func (s *Scanner) continuesAsValues() (bool, error) {
	found, err := s.sequence(SkipBlanks(s.window(), 0))
	if err != nil {
		return false, err
	}
	if found == severalLines {
		s.place.phase = inValues
		return true, nil
	}
	s.place.phase = inLines
	return false, nil
}

// plain reports whether a program that prints values over several lines prints this one on one line.
func plain(line []byte) bool {
	line = bytes.Trim(line, blanks)
	return line[0] != '{' && line[0] != '[' || len(line) == 2
}
