package chunk

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// nextElement returns the next element of the array, or an object with a flaw for anything else that stands in its
// place.
func (s *Scanner) nextElement() (Object, error) {
	for {
		c, more, err := s.skipToToken()
		at := s.place
		switch {
		case err != nil:
			return Object{}, err
		case !more && (at.phase == beforeAll || at.phase == afterAll):
			return Object{}, io.EOF
		case !more:
			return Object{}, cutOff("before the ']' of the array")
		}
		switch at.phase {
		case beforeAll, afterAll:
			if c != '[' || at.phase == afterAll && s.opts.Format != Array {
				return Object{}, s.stray()
			}
			s.step(afterOpen)
		case afterOpen:
			if c != ']' {
				return s.element()
			}
			s.step(afterAll)
		case afterItem: // an element ends only before these two
			if c == ']' {
				s.step(afterAll)
			} else {
				s.step(afterComma)
			}
		case afterComma:
			return s.element()
		case atStart, inLines, inEither, inValues, inRows:
			panic("chunk: elements are asked for outside of an array")
		}
	}
}

// step consumes the token at the front of the window.
func (s *Scanner) step(to phase) {
	s.advance(1)
	s.place.phase = to
}

// skipToToken consumes white space and returns the byte after it, which it does not consume.
func (s *Scanner) skipToToken() (c byte, more bool, err error) {
	for {
		w := s.window()
		if n := SkipBlanks(w, 0); n < len(w) {
			if n > 0 {
				s.advanceLines(n)
			}
			return w[n], true, nil
		}
		s.advanceLines(len(w))
		if more, err := s.fill(); !more {
			return 0, false, err
		}
	}
}

// stray returns the error for text outside of any array.
func (s *Scanner) stray() error {
	if s.place.phase == beforeAll {
		return inputError("this is not an array, but the format is array; use --format lines or --format values")
	}
	return inputError("text follows the end of the array; if the objects are lines, use --format lines; " +
		"if these are arrays one after the other, use --format array for their elements, and --format values for the arrays themselves")
}

// cutOff returns the error for an input that ends too early.
func cutOff(where string) error {
	return inputError("the input ends %s; the program that writes it may have stopped early; complete it, or use --format lines if the objects are lines", where)
}

// element returns the element that begins at the front of the window.
func (s *Scanner) element() (Object, error) {
	w := s.window()
	if w[0] == ',' || w[0] == ']' {
		at := s.place
		s.place.phase = afterItem
		return s.missing(at, fmt.Sprintf("array: no element before %q", w[0])), nil
	}
	// The usual case in one pass: the buffer holds a whole valid element and the byte that ends it.
	if end := ValueEnd(w, 0, MaxDepth); end >= 0 {
		if n := SkipBlanks(w, end); n < len(w) && n <= s.max && (w[n] == ',' || w[n] == ']') && utf8.Valid(w[:end]) {
			return s.consume(end, afterItem), nil
		}
	}
	return s.searchElement()
}

// searchElement returns the element at the front of the window if it is not whole in the buffer, not valid, or too
// large.
func (s *Scanner) searchElement() (Object, error) {
	var edge edge
	for searched := 0; ; {
		w := s.window()
		n := edge.find(w[searched:])
		if n >= 0 && searched+n <= s.max {
			return s.consumeChecked(bytes.TrimRight(w[:searched+n], blanks), true, afterItem), nil
		}
		if searched = len(w); n >= 0 || searched > s.max {
			return s.omitElement()
		}
		if more, err := s.fill(); err != nil {
			return Object{}, err
		} else if more {
			continue
		}
		return Object{}, cutOff("in or after this element of an array, before the ']'")
	}
}

// consumeChecked consumes raw, an element or a value, and returns it with its flaw, if any.
func (s *Scanner) consumeChecked(raw []byte, inArray bool, to phase) Object {
	var flaw string
	if !valid(raw) {
		flaw = s.flawed(s.place, raw, inArray).Flaw // before consume changes line breaks
	}
	object := s.consume(len(raw), to)
	object.Flaw = flaw
	return object
}

// consume consumes the n bytes of an element or a value and makes them one line.
func (s *Scanner) consume(n int, to phase) Object {
	element := s.window()[:n]
	s.place.phase = to
	if lines := bytes.Count(element, newline); lines > 0 || bytes.IndexByte(element, '\r') >= 0 {
		s.place.Line += int64(lines)
		joinLines(element)
	}
	s.advance(n)
	return Object{Bytes: element}
}

// joinLines replaces line breaks by spaces.
func joinLines(b []byte) {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
}

// omitElement consumes an element that is too large.
func (s *Scanner) omitElement() (Object, error) {
	at := s.place
	var edge edge
	left := newOmitted(blanks, 64<<10)
	if _, err := s.omit(left, edge.find); err != nil {
		return Object{}, err
	}
	s.place.phase = afterItem
	return s.tooLarge(at, left), nil
}

const blanks = " \t\r\n"

// An edge finds the end of an element that may be invalid: the ',' or ']' outside of strings and brackets. The kinds of
// brackets need not match, so that an error such as `{"a":1]` stays within its element. The zero value stands at the
// beginning of an element.
type edge struct {
	depth    int
	inString bool
	escaped  bool // the next byte of the string belongs to an escape
}

// find continues in b where the last call ended. It returns the index of the byte that ends the element, or -1 if that
// is not in b.
func (e *edge) find(b []byte) int {
	for i := 0; i < len(b); i++ {
		if e.inString {
			if i = e.skipString(b, i); i == len(b) {
				return -1
			}
		}
		switch c := b[i]; c {
		case '"':
			e.inString = !e.inString
		case '{', '[':
			e.depth++
		case '}', ']':
			if e.depth == 0 && c == ']' {
				return i
			}
			e.depth = max(e.depth-1, 0)
		case ',':
			if e.depth == 0 {
				return i
			}
		}
	}
	return -1
}

// skipString returns the index of the quote that ends the string that b[i] is in.
func (e *edge) skipString(b []byte, i int) int {
	for ; i < len(b); i++ {
		switch {
		case e.escaped:
			e.escaped = false
		case b[i] == '\\':
			e.escaped = true
		case b[i] == '"':
			return i
		}
	}
	return i
}
