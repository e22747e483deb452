package chunk

import "bytes"

// detect consumes what may stand before the first object and sets the phase:
// it decides whether the stream is lines or an array.
func (s *Scanner) detect() error {
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
	isArray := s.opts.Format == Array
	if s.opts.Format == Auto {
		found, err := s.detectArray()
		if err != nil {
			return err
		}
		isArray = found
	}
	s.place.phase = inLines
	if isArray {
		s.place.phase = beforeAll
	}
	return nil
}

// mark is the byte order mark that some programs put before UTF-8.
var mark = []byte("\ufeff")

// detectArray says whether an array begins here, and consumes nothing but
// blank lines.
func (s *Scanner) detectArray() (bool, error) {
	for searched := 0; ; {
		w := s.window()
		w = w[:min(len(w), lookAhead)]
		n := skipBlanks(w, searched)
		if last := bytes.LastIndexByte(w[:n], '\n'); last >= 0 { // behind blank lines
			s.advanceLines(last + 1)
			searched = 0
			continue
		}
		switch {
		case n < len(w):
			if w[n] != '[' {
				return false, nil
			}
			return s.isArray(n)
		case n == lookAhead:
			return false, nil
		}
		searched = n
		if more, err := s.fill(); !more {
			return false, err
		}
	}
}

// isArray says whether the '[' at index first of the window opens the array
// whose elements are the objects. It does unless it is closed on its own line,
// with nothing behind it there, and another line follows that is not blank: then
// the stream is lines that hold arrays. No more than lookAhead bytes are
// read to find out; if they don't decide, it is an array.
func (s *Scanner) isArray(first int) (bool, error) {
	var edge edge
	closed, lineOver := false, false
	searched := first + 1 // up to here the window has been looked at
	for searched-first < lookAhead {
		w := s.window()
		if searched == len(w) {
			if more, err := s.fill(); !more {
				return true, err
			}
			continue
		}
		if !closed {
			inside := w[searched:]
			line := bytes.IndexByte(inside, '\n')
			if line >= 0 {
				inside = inside[:line]
			}
			end := edge.findClose(inside)
			switch {
			case end >= 0:
				closed = true
				searched += end + 1
			case line >= 0:
				return true, nil
			default:
				searched = len(w)
			}
			continue
		}
		switch c := w[searched]; {
		case c == '\n':
			lineOver = true
		case !isBlank(c):
			return !lineOver, nil
		}
		searched++
	}
	return true, nil
}

// findClose is find, but passes the commas between elements.
func (e *edge) findClose(b []byte) int {
	for from := 0; ; {
		n := e.find(b[from:])
		if n < 0 || b[from+n] == ']' {
			if n >= 0 {
				n += from
			}
			return n
		}
		from += n + 1
	}
}
