package chunk

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// nextValue returns the next object of a stream of values.
func (s *Scanner) nextValue() (Object, error) {
	first, more, err := s.skipToToken()
	switch {
	case err != nil:
		return Object{}, err
	case !more:
		return Object{}, io.EOF
	case strings.IndexByte(`{["-0123456789tfn`, first) < 0:
		return Object{}, s.noValue(s.window()[:1])
	}
	// The usual case in one pass: the buffer holds a whole valid value and the byte after it.
	w := s.window()
	if end := ValueEnd(w, 0, MaxDepth); end >= 0 && end < len(w) && end <= s.max && separate(w[end-1], w[end]) && utf8.Valid(w[:end]) {
		return s.consume(end, inValues), nil
	}
	return s.searchValue()
}

// separate reports whether a value that ends with last is complete before next. A number or a word only ends before
// white space or another kind of value.
func separate(last, next byte) bool {
	switch next {
	case ' ', '\t', '\r', '\n', '{', '[', '"':
		return true
	}
	return last == '}' || last == ']' || last == '"'
}

// searchValue returns the value at the front of the window if it is not whole in the buffer, not valid, or too large.
func (s *Scanner) searchValue() (Object, error) {
	var e valueEdge
	for searched := 0; ; {
		w := s.window()
		n := e.find(w[searched:])
		if n >= 0 && searched+n <= s.max {
			return s.checkValue(searched + n)
		}
		if searched = len(w); n >= 0 || searched > s.max {
			return s.omitValue()
		}
		more, err := s.fill()
		switch {
		case err != nil:
			return Object{}, err
		case more:
		case e.scalar:
			return s.checkValue(searched)
		default:
			return Object{}, cutOff("in the middle of this value")
		}
	}
}

// checkValue consumes the value of n bytes at the front of the window and returns it, with a flaw if it is not valid.
// It returns an error if the end of an invalid value is not certain.
func (s *Scanner) checkValue(n int) (Object, error) {
	raw := s.window()[:n]
	if c := raw[0]; c != '{' && c != '[' && !json.Valid(raw) {
		return Object{}, s.noValue(raw)
	}
	return s.consumeChecked(raw, false, inValues), nil
}

// noValue returns the error for bytes that are not a value, after which it is not certain where the next value begins.
func (s *Scanner) noValue(raw []byte) error {
	return inputError("%s; it is not certain where the next value begins; correct the input, or use --format lines if the objects are lines", s.problem(raw, false))
}

// omitValue consumes a value that is too large. It returns an error if the part in the window is not valid.
func (s *Scanner) omitValue() (Object, error) {
	at := s.place
	var syntax *json.SyntaxError
	var raw json.RawMessage
	if err := json.Unmarshal(s.window(), &raw); errors.As(err, &syntax) && int(syntax.Offset) <= s.max &&
		!strings.Contains(err.Error(), "max depth") {
		return Object{}, s.noValue(s.window())
	}
	var e valueEdge
	left := newOmitted("", 0)
	delimited, err := s.omit(left, e.find)
	if err != nil {
		return Object{}, err
	}
	if !delimited && !e.scalar {
		s.readErr = cutOff("in the middle of the value that begins in " + s.where(at))
		return Object{}, s.readErr
	}
	s.place.phase = inValues
	return s.tooLarge(at, left), nil
}

// A valueEdge finds the end of a value that may be invalid. The kinds of brackets need not match. The zero value stands
// at the beginning of a value.
type valueEdge struct {
	edge
	scalar bool // a number or a word, possibly invalid
}

// find continues in b where the last call ended. It returns the index after the value, or -1 if its end is not in b.
func (e *valueEdge) find(b []byte) int {
	for i := 0; i < len(b); i++ {
		if e.inString {
			if i = e.skipString(b, i); i == len(b) {
				return -1
			}
		}
		switch c := b[i]; c {
		case '"':
			if e.scalar {
				return i
			}
			e.inString = !e.inString
			if !e.inString && e.depth == 0 {
				return i + 1
			}
		case '{', '[':
			if e.scalar {
				return i
			}
			e.depth++
		case '}', ']':
			if e.depth--; e.depth <= 0 {
				return i + 1
			}
		default:
			if e.depth > 0 {
				continue
			}
			if isBlank(c) {
				return i
			}
			e.scalar = true
		}
	}
	return -1
}
