package wire

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// fields writes or reads the headers of a message. Each message lists its headers once, in a method named fields that
// does both, so that writing and reading cannot diverge.
//
// Writing omits optional values that are zero. Reading keeps the first error in err; values that are read after it are
// meaningless.
type fields struct {
	header Header
	body   []byte
	write  bool
	err    error
}

// A presence tells whether a header is required.
type presence bool

const (
	required presence = true
	optional presence = false
)

func writing() *fields { return &fields{header: Header{KeyProtocol: Protocol}, write: true} }

// encode makes a message of a body and of the headers that describe writes. describe may replace the body.
func encode(describe func(*fields), body []byte) Message {
	f := writing()
	f.body = body
	describe(f)
	if len(f.body) > 0 {
		f.header[keySum] = sumText(Checksum(f.body))
	}
	return Message{Header: f.header, Body: f.body}
}

// decoded decodes a message that is a T.
func decoded[T any, P interface {
	*T
	fields(*fields)
}](what string, m Message,
) (T, error) {
	var v T
	err := decode(what, m, P(&v).fields)
	return v, err
}

// decode checks the protocol version and the body's checksum, and reads the headers with describe.
func decode(what string, m Message, describe func(*fields)) error {
	return decodeSummed(what, m, required, describe)
}

// decodeSummed is decode with an optional checksum, for messages that people type.
func decodeSummed(what string, m Message, sum presence, describe func(*fields)) error {
	if err := CheckProtocol(m.Header); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	f := &fields{header: m.Header, body: m.Body}
	if len(m.Body) > 0 {
		got := Checksum(m.Body)
		want := got
		f.sum(keySum, &want, sum)
		if f.err == nil && want != got {
			f.err = fmt.Errorf("%w: checksum of the body is wrong", ErrCorrupt)
		}
	}
	if f.err == nil {
		describe(f)
	}
	if f.err != nil {
		return fmt.Errorf("decode %s: %w", what, f.err)
	}
	return nil
}

const keySum = "Chunkline-Sum" // CRC32C of the body

// fail records an error in a header, or in the body: the key "body" stands for it.
func (f *fields) fail(key, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s: %s", ErrMalformed, key, fmt.Sprintf(format, args...))
	}
}

// get returns the value of a header; false if it is missing or an earlier error exists.
func (f *fields) get(key string, p presence) (string, bool) {
	if f.err != nil {
		return "", false
	}
	value, has := f.header[key]
	if !has && p == required {
		f.fail(key, "missing")
	}
	return value, has
}

// field is one header. An optional one is omitted if it is zero. show writes it and parse reads it.
func (f *fields) field(key string, p presence, zero bool, show func() string, parse func(string) error) {
	if f.write {
		if p == required || !zero {
			f.header[key] = show()
		}
		return
	}
	if value, has := f.get(key, p); has {
		if err := parse(value); err != nil {
			f.fail(key, "%s", err)
		}
	}
}

// uint is a number from 0 to most.
func (f *fields) uint(key string, v *uint64, most uint64, p presence) {
	f.field(key, p, *v == 0, func() string { return strconv.FormatUint(*v, 10) }, func(s string) (err error) {
		*v, err = parseUint(s, most)
		return err
	})
}

// int is a number from 0 to most.
func (f *fields) int(key string, v *int, most int, p presence) {
	n := uint64(max(*v, 0))
	f.uint(key, &n, uint64(most), p)
	*v = int(n)
}

// id is a chunk's ID.
func (f *fields) id(key string, v *chunk.ID, p presence) {
	f.uint(key, (*uint64)(v), maxID, p)
}

// maxID leaves room for additions to an ID or ordinal without overflow.
const maxID = 1 << 62

// millis is a duration in whole milliseconds, up to most.
func (f *fields) millis(key string, v *time.Duration, most time.Duration, p presence) {
	n := uint64(max(*v, 0) / time.Millisecond)
	f.uint(key, &n, uint64(most/time.Millisecond), p)
	*v = time.Duration(n) * time.Millisecond
}

// flag is "true" or omitted.
func (f *fields) flag(key string, v *bool) {
	f.field(key, optional, !*v, func() string { return "true" }, func(s string) error {
		*v = s == "true"
		if !*v {
			return fmt.Errorf("%.20q is not true; omit it instead", s)
		}
		return nil
	})
}

// token is 1 to 64 letters, digits, '_' and '-'.
func (f *fields) token(key string, v *string, p presence) {
	f.field(key, p, *v == "", func() string { return *v }, func(s string) error {
		*v = s
		if !IsName(s) {
			return fmt.Errorf("%.80q: want 1 to %d letters, digits, '_', '-'", s, maxName)
		}
		return nil
	})
}

// choice is one of a few words.
func choice[T ~string](f *fields, key string, v *T, words ...T) {
	f.field(key, required, *v == "", func() string { return string(*v) }, func(s string) error {
		for _, word := range words {
			if s == string(word) {
				*v = word
				return nil
			}
		}
		return fmt.Errorf("%.40q: want one of %q", s, words)
	})
}

// text is text for people. Writing cuts it off after most bytes.
func (f *fields) text(key string, v *string, most int) {
	f.field(key, optional, *v == "", func() string { return WriteText(*v, most) }, func(s string) (err error) {
		*v, err = readText(s, most)
		return err
	})
}

// label is a text that sinks store. PostgreSQL has no text with the character NUL.
func (f *fields) label(key string, v *string) {
	f.text(key, v, MaxLabel)
	if !f.write && strings.ContainsRune(*v, 0) {
		f.fail(key, "it has the character NUL")
	}
}

// plan is the plan's ID.
func (f *fields) plan(v *chunk.PlanID, p presence) {
	f.field(keyPlan, p, *v == "", func() string { return string(*v) }, func(s string) error {
		*v = chunk.PlanID(s)
		_, err := parseHex(s, 16)
		return err
	})
}

// secret is size bytes in hexadecimal.
func (f *fields) secret(key string, v *[]byte, size int, p presence) {
	f.field(key, p, len(*v) == 0, func() string { return hex.EncodeToString(*v) }, func(s string) (err error) {
		*v, err = parseHex(s, size)
		return err
	})
}

func (f *fields) sum(key string, v *uint32, p presence) {
	f.field(key, p, false, func() string { return sumText(*v) }, func(s string) error {
		b, err := parseHex(s, 4)
		if err == nil {
			*v = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		}
		return err
	})
}

func sumText(sum uint32) string { return fmt.Sprintf("%08x", sum) }

// json is a small value as JSON in ASCII.
func (f *fields) json(key string, v any, zero bool, p presence) {
	f.field(key, p, zero, func() string { return asciiJSON(v) }, func(s string) error {
		return json.Unmarshal([]byte(s), v)
	})
}

func parseUint(s string, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > most {
		return 0, fmt.Errorf("%.40q: want a number from 0 to %d", s, most)
	}
	return n, nil
}

func parseHex(s string, size int) ([]byte, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != size {
		return nil, fmt.Errorf("%.80q: want %d hexadecimal digits", s, 2*size)
	}
	return b, nil
}

// WriteText returns s as the value of a header, cut off after most bytes: unchanged if it is plain ASCII, else as a
// JSON string in ASCII, which begins with a quote.
func WriteText(s string, most int) string {
	s = Clip(s, most)
	if isPlain(s) && strings.TrimSpace(s) == s && !strings.HasPrefix(s, `"`) {
		return s
	}
	return asciiJSON(s)
}

// Clip returns the first most bytes of s as valid UTF-8. Invalid bytes become U+FFFD.
func Clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// readText decodes the output of WriteText.
func readText(header string, most int) (string, error) {
	s := header
	if strings.HasPrefix(header, `"`) {
		if err := json.Unmarshal([]byte(header), &s); err != nil {
			return "", errors.New("neither plain text nor a JSON string")
		}
	} else if !isPlain(s) {
		return "", errors.New("not ASCII; use a JSON string")
	}
	if len(s) > most {
		return "", fmt.Errorf("text of %d bytes, the limit is %d", len(s), most)
	}
	return s, nil
}

// asciiJSON encodes v, which consists of strings and finite numbers, as JSON in printable ASCII.
func asciiJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("wire: encode %T: %v", v, err)) // strings and finite numbers always encode
	}
	var ascii strings.Builder
	ascii.Grow(len(text))
	for _, r := range string(text) {
		switch {
		case r < 0x7f:
			ascii.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return ascii.String()
}

// inBody is a value that the body has as JSON, if it is there.
func inBody[T any](f *fields, v **T, there bool) {
	if there && f.err == nil {
		if !f.write {
			*v = new(T)
		}
		f.jsonBody(*v)
	}
}

// jsonBody is a value that the body has as JSON.
func (f *fields) jsonBody(v any) {
	switch {
	case f.write:
		f.body = mustJSON(v)
	case f.err == nil:
		if err := json.Unmarshal(f.body, v); err != nil {
			f.err = fmt.Errorf("%w: body: %w", ErrMalformed, err)
		}
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("wire: encode %T: %v", v, err)) // finite numbers always encode, and so do the other types
	}
	return text
}
