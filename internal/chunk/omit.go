package chunk

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
)

// omitted is what is left of an object that is too large to travel.
type omitted struct {
	sum  hash.Hash
	size int64

	// What may turn out to stand behind the object, not in it: bytes of
	// cutset, no more than most of them.
	tail   []byte
	cutset string
	most   int
}

func newOmitted(cutset string, most int) *omitted {
	return &omitted{sum: sha256.New(), cutset: cutset, most: most}
}

// add takes the next bytes of the object. How the bytes are split into calls
// makes no difference to the outcome.
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

// omit consumes the stream up to the delimiter that find returns the index of
// (-1: not in these bytes), and leaves no more of it than a hash. It says
// whether there was a delimiter, which is not consumed, before the end.
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

// tooLarge returns the object that stands for one too large to travel: valid
// JSON, small, and with the hash of the original, so that the digest of the
// chunk still tells when the source changes.
func (s *Scanner) tooLarge(at Place, left *omitted) Object {
	return Object{
		Bytes: fmt.Appendf(nil, `{"chunkline":"object left out","bytes":%d,"sha256":"%x"}`, left.size, left.sum.Sum(nil)),
		Flaw:  fmt.Sprintf("%s: object too large: %d bytes, the limit is %d", s.where(at), left.size, s.max),
	}
}

// nothing returns the object that stands for one that should be there.
func (s *Scanner) nothing(at Place, problem string) Object {
	return Object{
		Bytes: []byte(`{"chunkline":"no object"}`),
		Flaw:  s.where(at) + ": " + problem,
	}
}
