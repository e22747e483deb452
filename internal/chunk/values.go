package chunk

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// nextValue returns the next of values that do not keep to lines.
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
	// The usual case in one pass: a valid value is in the buffer, whole and
	// with the byte behind it.
	w := s.window()
	if end := s.check.value(w); end >= 0 && end < len(w) && end <= s.max && separate(w[end-1], w[end]) && utf8.Valid(w[:end]) {
		return s.take(end, inValues), nil
	}
	return s.searchValue()
}

// separate says whether a value that ends in last has ended although no
// blank follows but next. A number or a word ends only where another kind of
// value begins.
func separate(last, next byte) bool {
	switch next {
	case ' ', '\t', '\r', '\n', '{', '[', '"':
		return true
	}
	return last == '}' || last == ']' || last == '"'
}

// searchValue returns the value at the front of the window that is not whole in
// the buffer, not valid, or too large.
func (s *Scanner) searchValue() (Object, error) {
	var e valueEdge
	for searched := 0; ; {
		w := s.window()
		n := e.find(w[searched:])
		if n >= 0 && searched+n <= s.max {
			return s.judgeValue(searched + n)
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
			return s.judgeValue(searched)
		default:
			return Object{}, cutOff("in the middle of this value")
		}
	}
}

// judgeValue consumes the value of n bytes at the front of the window and
// returns it, with a flaw if it is not valid. It is an error if its end is not
// certain then.
func (s *Scanner) judgeValue(n int) (Object, error) {
	raw, at := s.window()[:n], s.place
	var flaw string
	if !s.check.valid(raw) {
		if c := raw[0]; c != '{' && c != '[' && !json.Valid(raw) {
			return Object{}, s.noValue(raw)
		}
		flaw = s.judge(at, raw, false).Flaw // before take changes line breaks
	}
	value := s.take(n, inValues)
	value.Flaw = flaw
	return value, nil
}

// noValue is the error for bytes that are no value, so that nobody knows where
// the next one begins.
func (s *Scanner) noValue(raw []byte) error {
	return inputError("%s; where the next value begins is not certain; mend it, or use --format lines if the objects are lines", s.problem(raw, false))
}

// omitValue consumes a value that is too large. It goes no further if the value
// is not valid as far as it is in the window.
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

// A valueEdge searches for the end of a value that need not be valid. The kinds
// of brackets need not match. The zero value stands at the beginning of a value.
type valueEdge struct {
	edge
	scalar bool // a number or a word, or what stands for one
}

// find goes on in b where the last call ended. It returns the index behind the
// value, or -1 and is then behind b.
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
