package bus

import (
	"fmt"
	"hash/crc32"
	"maps"
	"strings"
	"sync/atomic"
)

// Header is the small text beside a body. Keys are written like
// "Chunkline-Plan" and are case-sensitive; values are printable ASCII without
// blanks at either end.
type Header map[string]string

// A Message is what travels. Whoever has handed it on does not change its body
// any more.
type Message struct {
	Header Header
	Body   []byte
}

const (
	// Protocol is the version of the protocol that every message carries.
	Protocol = "1"

	// MaxMessage is the largest body, in bytes, that travels, in parts.
	MaxMessage = 1 << 30

	keyProtocol = "Chunkline-Protocol"
	keyPlan     = "Chunkline-Plan"

	headerLine = "NATS/1.0\r\n"
)

// Size is what the message counts against the server's max_payload: headers
// and body as they are written to the wire, in bytes.
func (m Message) Size() int { return m.Header.size() + len(m.Body) }

func (h Header) size() int {
	if len(h) == 0 {
		return 0
	}
	n := len(headerLine) + len("\r\n")
	for key, value := range h {
		n += len(key) + len(": ") + len(value) + len("\r\n")
	}
	return n
}

// check refuses what could not be read back as it is, or would smuggle in
// another header.
func (h Header) check() error {
	for key, value := range h {
		if !isName(key) {
			return fmt.Errorf("%w: header name %.40q", ErrMalformed, key)
		}
		if !isPlain(value) || strings.TrimSpace(value) != value {
			return fmt.Errorf("%w: header %s is not plain text: %.40q", ErrMalformed, key, value)
		}
	}
	return nil
}

// with returns a copy of h with the headers of other added.
func (h Header) with(other Header) Header {
	sum := make(Header, len(h)+len(other))
	maps.Copy(sum, h)
	maps.Copy(sum, other)
	return sum
}

// stamped returns m with the protocol version, ready to send.
func (m Message) stamped() (Message, error) {
	if _, has := m.Header[keyProtocol]; !has {
		m.Header = m.Header.with(Header{keyProtocol: Protocol})
	}
	return m, m.Header.check()
}

// checkProtocol says whether h is of a message that this program can read.
func checkProtocol(h Header) error {
	switch version, has := h[keyProtocol]; {
	case !has:
		return fmt.Errorf("%w: no %s header", ErrMalformed, keyProtocol)
	case version != Protocol:
		return fmt.Errorf("%w: %.20q, this program speaks %s", ErrVersion, version, Protocol)
	}
	return nil
}

// A Request is a message that arrived. Somebody may wait for an answer.
type Request struct {
	Subject string
	Message

	reply   func(Message) error // nil: a publish, nobody waits
	replied atomic.Bool
}

// Reply answers, at most once (then ErrReplied), from any goroutine and any
// time later. For a publish it does nothing. A nil error means that the answer
// is on its way to the server, not that it will arrive.
func (r *Request) Reply(m Message) error {
	if r.reply == nil {
		return nil
	}
	if r.replied.Swap(true) {
		return ErrReplied
	}
	m, err := m.stamped()
	if err != nil {
		return fmt.Errorf("reply to %s: %w", r.Subject, err)
	}
	if err := r.reply(m); err != nil {
		return fmt.Errorf("reply to %s: %w", r.Subject, err)
	}
	return nil
}

// Refuse answers, like Reply, that the request cannot be read. The requester
// gets an error, never an answer, so it asks again.
func (r *Request) Refuse(err error) error { return r.Reply(refusalFor(err)) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC32C of a body.
func checksum(body []byte) uint32 { return crc32.Checksum(body, castagnoli) }

// isName says whether s may stand in a subject or be the name of a header: 1
// to 64 of A-Z a-z 0-9 _ -.
func isName(s string) bool {
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

// isPlain says whether s is printable ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
