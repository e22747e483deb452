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

	// DefaultBytes is where a chunk ends although it holds fewer objects.
	// A single object may be larger; it is then a chunk of its own.
	DefaultBytes = 8 << 20

	// MaxObject is the largest object, in bytes, that travels. A larger one
	// becomes a dead letter that says so.
	MaxObject = 64 << 20
)

// ID names a chunk: 0, 1, 2 … in the order of the source. It follows from the
// chunk's place in the source, so a restart gives the same chunk the same ID.
type ID uint64

// A Chunk is a run of consecutive objects, cut from the source.
//
// Body holds Count lines, each one object followed by '\n', byte for byte as
// the source had them; only line breaks between the tokens of an object that
// spans lines are turned into spaces.
type Chunk struct {
	ID    ID
	First uint64 // ordinal of the first object
	Count int
	Body  []byte
	Bad   []Flaw // objects that no transform can read, by ascending Index
}

// A Flaw marks an object that must not reach a transform: it becomes a dead
// letter with Reason.
type Flaw struct {
	Index  int    `json:"index"` // of the object within its chunk
	Reason string `json:"reason"`
}

// Digest is the digest of the chunk's body.
func (c *Chunk) Digest() Digest { return Sum(c.Body) }

// Objects yields the objects of a body with their index, without the line
// break. The slices point into body.
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

// Digest identifies the content of a chunk: the first 128 bits of SHA-256.
// It tells a changed source from an unchanged one; 64 bits would collide by
// chance in a job of some billion chunks, 128 bits do not.
type Digest [16]byte

// Sum returns the digest of a chunk's body.
func Sum(body []byte) Digest {
	sum := sha256.Sum256(body)
	return Digest(sum[:16])
}

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ErrDigest means a text is not a digest.
var ErrDigest = errors.New("digest is not 32 hexadecimal digits")

// ParseDigest reads what String wrote.
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

// CheckJob says whether name can name a job. It becomes part of every NATS
// subject and of file names, so only letters, digits, '_' and '-' will do.
func CheckJob(name string) error {
	if !jobName.MatchString(name) {
		return fmt.Errorf("job name %q: use 1 to 64 of A-Z a-z 0-9 _ -", name)
	}
	return nil
}
