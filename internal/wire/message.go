package wire

import (
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"strings"
)

// Errors of decoders. They are wrapped, with the header or line that is wrong.
var (
	// ErrMalformed: a message that no correct program sends.
	ErrMalformed = errors.New("malformed message")
	// ErrVersion: a message of another protocol version.
	ErrVersion = errors.New("other protocol version")
	// ErrCorrupt: a message that was damaged on the way.
	ErrCorrupt = errors.New("message was damaged on the way")
	// ErrForged: a message whose sender does not have the job's key.
	ErrForged = errors.New("message is not signed with the job's key")
)

// Header holds the headers of a message. Keys are written like "Chunkline-Plan" and are case-sensitive. Values are
// printable ASCII without a blank at either end.
type Header map[string]string

// A Message is headers and a body. The receiver may keep the body; the sender may change it once it was sent
// (bus.Transport).
type Message struct {
	Header Header
	Body   []byte
}

const (
	// Protocol is the protocol version that every message carries.
	Protocol = "2"

	// MaxMessage is the size of the largest body, in bytes. Large bodies travel in parts.
	MaxMessage = 1 << 30

	// KeyProtocol is the header with the version of the protocol.
	KeyProtocol = "Chunkline-Protocol"

	keyPlan = "Chunkline-Plan"

	headerLine = "NATS/1.0\r\n"
)

// Size returns the number of bytes that count against the server's max_payload: headers and body as they are sent.
func (m Message) Size() int { return m.Header.Size() + len(m.Body) }

// Size returns the number of bytes of the headers as they are sent.
func (h Header) Size() int {
	if len(h) == 0 {
		return 0
	}
	n := len(headerLine) + len("\r\n")
	for key, value := range h {
		n += len(key) + len(": ") + len(value) + len("\r\n")
	}
	return n
}

// check refuses headers that would not be read back unchanged, or that contain a line break and so another header.
func (h Header) check() error {
	for key, value := range h {
		if !IsName(key) {
			return fmt.Errorf("%w: header name %.40q", ErrMalformed, key)
		}
		if !isPlain(value) || strings.TrimSpace(value) != value {
			return fmt.Errorf("%w: header %s is not plain text: %.40q", ErrMalformed, key, value)
		}
	}
	return nil
}

// With returns a copy of h with the headers of other added.
func (h Header) With(other Header) Header {
	sum := make(Header, len(h)+len(other))
	maps.Copy(sum, h)
	maps.Copy(sum, other)
	return sum
}

// Stamped checks the headers and returns m with the protocol version, ready to send.
func (m Message) Stamped() (Message, error) {
	if _, has := m.Header[KeyProtocol]; !has {
		m.Header = m.Header.With(Header{KeyProtocol: Protocol})
	}
	return m, m.Header.check()
}

// CheckProtocol returns ErrMalformed or ErrVersion if the message with this header does not have our protocol version.
func CheckProtocol(h Header) error {
	switch version, has := h[KeyProtocol]; {
	case !has:
		return fmt.Errorf("%w: no %s header", ErrMalformed, KeyProtocol)
	case version != Protocol:
		return fmt.Errorf("%w: %.20q, this program speaks %s", ErrVersion, version, Protocol)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC32C of a body.
func Checksum(body []byte) uint32 { return crc32.Checksum(body, castagnoli) }

// IsName reports whether s may be a token of a subject or the name of a header: 1 to 64 of A-Z a-z 0-9 _ -.
func IsName(s string) bool {
	if len(s) < 1 || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

const maxName = 64

// isPlain reports whether s is printable ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
