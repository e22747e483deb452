package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A Lease holds the facts that a lease token proves. Attempt and epoch are not part of it, because a late result is
// valid unless its version was fenced since. That is why the term is part of it.
type Lease struct {
	Plan   chunk.PlanID
	Piece  chunk.Piece
	Of     int    // objects of the whole chunk
	First  uint64 // ordinal of the piece's first object
	Digest chunk.Digest
	Term   uint64 // of the mapper's version: how often the circuit breaker had disabled it
}

// Token returns the token that proves to the saver that a fetcher with the job's key has granted this piece, with this
// digest and these objects. It is the first 128 bits of an HMAC-SHA256, in hexadecimal.
func (l Lease) Token(key []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "chunkline lease 2\n%s\n%d\n%d\n%d\n%d\n%d\n%s\n%d\n", l.Plan, l.Piece.Chunk, l.Piece.From, l.Piece.To, l.Of, l.First, l.Digest, l.Term)
	return hex.EncodeToString(mac.Sum(nil)[:tokenSize])
}

// Vouches reports whether token is that of the lease, in constant time. Without a key it returns false.
func (l Lease) Vouches(key []byte, token string) bool {
	return len(key) > 0 && hmac.Equal([]byte(token), []byte(l.Token(key)))
}

const keySignature = "Chunkline-Signature"

// sign adds the signature of m's headers and body to m.
func sign(key []byte, m Message) Message {
	m.Header[keySignature] = signature(key, m)
	return m
}

// checkSignature returns ErrForged unless m was signed with the same key.
func checkSignature(key []byte, m Message) error {
	if len(key) == 0 || !hmac.Equal([]byte(m.Header[keySignature]), []byte(signature(key, m))) {
		return ErrForged
	}
	return nil
}

// signature is the first 128 bits of an HMAC-SHA256, in hexadecimal, of the Chunkline- headers in ascending order, one
// "Name: value" per line, a blank line, and the body. It does not cover other headers, because servers on the way may
// add some.
func signature(key []byte, m Message) string {
	mac := hmac.New(sha256.New, key)
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		if strings.HasPrefix(name, "Chunkline-") && name != keySignature {
			fmt.Fprintf(mac, "%s: %s\n", name, m.Header[name])
		}
	}
	mac.Write([]byte{'\n'})
	mac.Write(m.Body)
	return hex.EncodeToString(mac.Sum(nil)[:tokenSize])
}
