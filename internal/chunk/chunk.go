package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
)

const (
	// DefaultSize is how many objects a chunk holds at most.
	DefaultSize = 100

	// DefaultBytes is the size at which a chunk ends even if it holds fewer objects. A single larger object is a chunk
	// of its own.
	DefaultBytes = 8 << 20

	// MaxObject is the largest object, in bytes, that can be sent to a mapper. A larger one becomes a dead letter.
	MaxObject = 64 << 20
)

// ID identifies a chunk: 0, 1, 2 … in the order of the source. It follows from the chunk's place in the source, so the
// chunk has the same ID after a restart.
type ID uint64

// A Chunk is a sequence of consecutive objects of the source.
//
// Body holds Count lines, each one object followed by '\n', byte for byte as in the source, except that line breaks
// within an object that spans lines are turned into spaces.
type Chunk struct {
	ID    ID
	First uint64 // ordinal of the first object
	Count int
	Body  []byte
	Bad   []Flaw // objects that are not sent to a transform, by ascending Index
}

// A Flaw marks an object that must not reach a transform. It becomes a dead letter with Reason.
type Flaw struct {
	Index  int    `json:"index"` // of the object within its chunk
	Reason string `json:"reason"`
}

// Part returns the objects of a piece of the chunk. First, Count, Body and Bad are of the piece. The body is shared,
// and indexes of flaws still count within the chunk.
func (c *Chunk) Part(p Piece) Chunk {
	if p.From == 0 && p.To == c.Count {
		return *c
	}
	part := Chunk{ID: c.ID, First: c.First + uint64(p.From), Count: p.Len()}
	begin := LinesEnd(c.Body, p.From)
	end := begin + LinesEnd(c.Body[begin:], p.Len())
	part.Body = c.Body[begin:end:end]
	for _, flaw := range c.Bad {
		if p.Has(flaw.Index) {
			part.Bad = append(part.Bad, flaw)
		}
	}
	return part
}

// LinesEnd returns where the first n lines of a body end.
func LinesEnd(body []byte, n int) int {
	end := 0
	for range n {
		end += bytes.IndexByte(body[end:], '\n') + 1
	}
	return end
}

// Digest is the digest of the chunk's body.
func (c *Chunk) Digest() Digest { return Sum(c.Body) }

// Objects yields the index and content of each object of a body, without the line break. The slices point into body.
func Objects(body []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for i := 0; len(body) > 0; i++ {
			object, rest, _ := bytes.Cut(body, []byte{'\n'})
			if !yield(i, slices.Clip(object)) {
				return
			}
			body = rest
		}
	}
}

// Digest identifies the content of a chunk: the first 128 bits of its SHA-256. It shows whether the source has changed.
// 64 bits would collide by chance in a job of some billion chunks; 128 bits do not.
type Digest [16]byte

// Sum returns the digest of a chunk's body.
func Sum(body []byte) Digest {
	sum := sha256.Sum256(body)
	return Digest(sum[:16])
}

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ErrDigest means that a text is not a digest.
var ErrDigest = errors.New("digest is not 32 hexadecimal digits")

// ParseDigest parses the output of Digest.String.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 2*len(d) {
		return Digest{}, fmt.Errorf("parse digest %q: %w", s, ErrDigest)
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, fmt.Errorf("parse digest %q: %w", s, ErrDigest)
	}
	return d, nil
}

var jobName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// CheckJob returns an error unless name is a valid job name. The name becomes part of every NATS subject and of file
// names, so only letters, digits, '_' and '-' are allowed.
func CheckJob(name string) error {
	if !jobName.MatchString(name) {
		return fmt.Errorf("job name %q: use 1 to 64 of A-Z a-z 0-9 _ -", name)
	}
	return nil
}
