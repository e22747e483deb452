package chunk

import "bytes"

// detect consumes what may stand before the first object and sets the phase:
// it decides how the objects of the stream are written.
func (s *Scanner) detect() error {
	if err := s.skipMark(); err != nil {
		return err
	}
	format := s.opts.Format
	if format == Auto {
		guess, err := s.look()
		if err != nil {
			return err
		}
		if format, err = s.settle(guess); err != nil {
			return err
		}
	}
	s.place.phase = format.first()
	if s.opts.Format == Auto && format == Lines {
		s.place.phase = inEither
	}
	return nil
}

// settle turns a guess into a format. Of a guess that allows two, and of files
// that do not go together, Decide knows.
func (s *Scanner) settle(g Guess) (Format, error) {
	if s.opts.Decide != nil {
		return s.opts.Decide(g)
	}
	return g.Format(), nil
}

// skipMark passes over a byte order mark.
func (s *Scanner) skipMark() error {
	for n := 1; n <= len(mark); n++ { // no byte more than needed: it may be long in coming
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

// goOnAsValues says whether the line at the front of the window, which is not
// valid, begins a value that spans lines, so that the stream is values. All
// lines before it were such that lines and values are the same.
func (s *Scanner) goOnAsValues() (bool, error) {
	found, err := s.sequence(skipBlanks(s.window(), 0))
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

// plain says whether a program that prints values over several lines prints
// this one on one line as well.
func plain(line []byte) bool {
	line = bytes.Trim(line, blanks)
	return line[0] != '{' && line[0] != '[' || len(line) == 2
}
