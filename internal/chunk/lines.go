package chunk

import (
	"bytes"
	"io"
)

// nextLine returns the next line that is not blank.
func (s *Scanner) nextLine() (Object, error) {
	for {
		at := s.place
		line, left, err := s.consumeLine()
		switch {
		case err != nil:
			return Object{}, err
		case left != nil:
			s.place.phase = inLines
			return s.tooLarge(at, left), nil
		case SkipBlanks(line, 0) == len(line):
			continue
		case valid(line):
			if at.phase == inEither && !plain(line) {
				s.place.phase = inLines
			}
			return Object{Bytes: line}, nil
		}
		return s.badLine(at, line)
	}
}

// badLine returns a line that is consumed but not valid, as an object with a flaw. It returns another object if the
// stream turns out to be values, and an error if the line is the last one and incomplete.
func (s *Scanner) badLine(at Place, line []byte) (Object, error) {
	consumed := int(s.place.Offset - at.Offset)
	whole := s.buf[s.start-1] == '\n'
	if at.phase != inEither && whole {
		return s.flawed(at, line, false), nil
	}
	s.start -= consumed // the line is still in the buffer
	s.place = at
	if at.phase == inEither {
		values, err := s.continuesAsValues()
		switch {
		case err != nil:
			return Object{}, err
		case values:
			return s.nextValue()
		}
		return s.nextLine()
	}
	return Object{}, inputError("the input ends in the middle of a line (%s); the program that writes it may have stopped early; "+
		"if the input is complete, end it with a line break, and the line becomes a dead letter", s.problem(line, false))
}

// consumeLine consumes a line and returns it without its line break, LF or CRLF. If the line is longer than the limit,
// it returns only size and hash.
func (s *Scanner) consumeLine() (line []byte, left *omitted, err error) {
	return s.consumeTo(lineEdge{})
}

// A lineBreak finds the line break that ends an object.
type lineBreak interface {
	reset() // before each object
	// find continues in b where the last call ended. It returns the index of the line break, or -1 if it is not in b.
	find(b []byte) int
}

// A lineEdge finds the end of a line.
type lineEdge struct{}

func (lineEdge) reset()            {}
func (lineEdge) find(b []byte) int { return bytes.IndexByte(b, '\n') }

// consumeTo consumes the bytes up to a line break and returns them without it. If there are more bytes than the limit,
// it returns only size and hash.
func (s *Scanner) consumeTo(end lineBreak) (line []byte, left *omitted, err error) {
	end.reset()
	for searched := 0; ; {
		w := s.window()
		if n := end.find(w[searched:]); n >= 0 {
			n += searched
			if line = dropCR(w[:n]); len(line) <= s.max {
				s.advance(n + 1)
				s.place.Line++
				return line, nil, nil
			}
			return s.omitLine(end)
		}
		if searched = len(w); searched > s.max+1 { // more than the limit and a CR
			return s.omitLine(end)
		}
		more, err := s.fill()
		switch {
		case more:
			continue
		case err != nil:
			return nil, nil, err
		case searched == 0:
			return nil, nil, io.EOF
		}
		if line = dropCR(s.window()); len(line) > s.max {
			return s.omitLine(end)
		}
		s.advance(searched) // the last line lacks its line break
		return line, nil, nil
	}
}

// omitLine consumes a line that is too long.
func (s *Scanner) omitLine(end lineBreak) ([]byte, *omitted, error) {
	end.reset()
	left := newOmitted("\r", 1)
	delimited, err := s.omit(left, end.find)
	if err != nil {
		return nil, nil, err
	}
	if delimited {
		s.advanceLines(1)
	}
	return nil, left, nil
}

func dropCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}
