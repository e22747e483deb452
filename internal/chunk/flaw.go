package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"unicode/utf8"
)

// flawed returns an object that is not valid, with the reason. It may be slow, because such objects are rare.
func (s *Scanner) flawed(at Place, object []byte, inArray bool) Object {
	if problem := s.problem(object, inArray); problem != "" {
		return Object{Bytes: object, Flaw: s.where(at) + ": " + problem}
	}
	return Object{Bytes: object}
}

// problem returns why object is not valid JSON in UTF-8, or "" if it is.
func (s *Scanner) problem(object []byte, inArray bool) string {
	if inArray {
		if end := ValueEnd(object, 0, MaxDepth); end >= 0 && SkipBlanks(object, end) < len(object) {
			return fmt.Sprintf("array: no comma or ']' after the first %d bytes of the element", end)
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

// omitted stands for an object that is too large: only its size and hash are kept.
type omitted struct {
	sum  hash.Hash
	size int64

	// Bytes of cutset that may belong to the object or only follow it, at most most of them.
	tail   []byte
	cutset string
	most   int
}

func newOmitted(cutset string, most int) *omitted {
	return &omitted{sum: sha256.New(), cutset: cutset, most: most}
}

// add adds the next bytes of the object. How the bytes are split into calls makes no difference.
func (o *omitted) add(b []byte) {
	solid := bytes.TrimRight(b, o.cutset)
	if len(solid) > 0 {
		o.keep(len(o.tail))
		o.sum.Write(solid)
		o.size += int64(len(solid))
	}
	o.tail = append(o.tail, b[len(solid):]...)
	o.keep(max(len(o.tail)-o.most, 0))
}

// keep counts the first n bytes of the tail as part of the object.
func (o *omitted) keep(n int) {
	o.sum.Write(o.tail[:n])
	o.size += int64(n)
	o.tail = append(o.tail[:0], o.tail[n:]...)
}

// omit consumes the stream up to the delimiter whose index find returns (-1: not in these bytes), and adds it to left.
// It returns whether a delimiter, which is not consumed, came before the end of the stream.
func (s *Scanner) omit(left *omitted, find func([]byte) int) (delimited bool, err error) {
	for {
		w := s.window()
		n := find(w)
		if n >= 0 {
			left.add(w[:n])
			s.advanceLines(n)
			return true, nil
		}
		left.add(w)
		s.advanceLines(len(w))
		if more, err := s.fill(); !more {
			return false, err
		}
	}
}

// placeholder returns the replacement for the object: small valid JSON with the hash of the original, so that the
// digest of the chunk still shows when the source changes.
func (o *omitted) placeholder(where string, limit int) Object {
	return Object{
		Bytes: fmt.Appendf(nil, `{"chunkline":"object left out","bytes":%d,"sha256":"%x"}`, o.size, o.sum.Sum(nil)),
		Flaw:  fmt.Sprintf("%s: object too large: %d bytes, the limit is %d", where, o.size, limit),
	}
}

// tooLarge returns the placeholder of an object that is too large.
func (s *Scanner) tooLarge(at Place, left *omitted) Object {
	return left.placeholder(s.where(at), s.max)
}

// LeftOut returns the placeholder of an object that is larger than MaxObject. where is its place.
func LeftOut(object []byte, where string) Object {
	left := newOmitted("", 0)
	left.add(object)
	return left.placeholder(where, MaxObject)
}

// missing returns the placeholder of a missing object.
func (s *Scanner) missing(at Place, problem string) Object {
	return Object{
		Bytes: []byte(`{"chunkline":"no object"}`),
		Flaw:  s.where(at) + ": " + problem,
	}
}
