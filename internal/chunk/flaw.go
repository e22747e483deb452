package chunk

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// judge returns an object that the checker turned down, with the reason. It
// may be slow: it is called for objects that end as dead letters.
func (s *Scanner) judge(at Place, object []byte, inArray bool) Object {
	if problem := s.problem(object, inArray); problem != "" {
		return Object{Bytes: object, Flaw: s.where(at) + ": " + problem}
	}
	return Object{Bytes: object}
}

// problem says why object is not valid JSON in UTF-8; "": it is.
func (s *Scanner) problem(object []byte, inArray bool) string {
	if inArray {
		if end := s.check.value(object); end >= 0 && skipBlanks(object, end) < len(object) {
			return fmt.Sprintf("array: neither a comma nor ']' after the first %d bytes of the element", end)
		}
	}
	var syntax *json.SyntaxError
	var raw json.RawMessage
	switch err := json.Unmarshal(object, &raw); {
	case errors.As(err, &syntax):
		return fmt.Sprintf("not valid JSON: %s (byte %d of the object)", syntax, syntax.Offset)
	case err != nil:
		return fmt.Sprintf("not valid JSON: %s", err)
	case !utf8.Valid(object):
		return fmt.Sprintf("not valid UTF-8 (byte %d of the object)", firstInvalid(object)+1)
	}
	return ""
}

// firstInvalid returns the index of the first byte that is not UTF-8.
func firstInvalid(b []byte) int {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(b)
}
