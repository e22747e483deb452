package chunk

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// A DeadLetter is an object that could not be processed, with the reason.
//
// It is written as one line of JSON with the keys ordinal, chunk, error, attempts, mapper, version, and one more with
// the object:
//
//	"object"  the object itself, unaltered, if it is valid JSON
//	"text"    a string, if it is not JSON but valid UTF-8
//	"base64"  a string, otherwise
//	"outputs" instead of the object: the outputs that the sink refused, as an array. One
//	          that cannot be embedded is a string
//
// So people and jq can read as much as possible, and the bytes can be restored exactly.
type DeadLetter struct {
	Ordinal  uint64
	Chunk    ID
	Error    string // bytes that are not UTF-8 become U+FFFD
	Attempts int    // from 1; 0 if it never reached a mapper
	Mapper   string // the mapper's name; "" if it never reached one
	Version  string // the mapper's version
	Object   []byte // as it was in the source

	// Outputs are the outputs of the object, if the sink refused them. The sink does not have the object itself, so
	// Object is then nil.
	Outputs [][]byte
}

// Append appends the dead letter to dst as one line, with its line break.
func (d DeadLetter) Append(dst []byte) []byte {
	dst = strconv.AppendUint(append(dst, `{"ordinal":`...), d.Ordinal, 10)
	dst = strconv.AppendUint(append(dst, `,"chunk":`...), uint64(d.Chunk), 10)
	dst = appendString(append(dst, `,"error":`...), d.Error)
	dst = strconv.AppendInt(append(dst, `,"attempts":`...), int64(d.Attempts), 10)
	dst = appendString(append(dst, `,"mapper":`...), d.Mapper)
	dst = appendString(append(dst, `,"version":`...), d.Version)
	switch {
	case len(d.Outputs) > 0:
		dst = append(dst, `,"outputs":`...)
		for i, output := range d.Outputs {
			dst = append(dst, "[,"[min(i, 1)])
			if validWithin(output, 2) {
				dst = append(dst, output...)
			} else { // nested too deep for two more brackets, or from a mapper that does not check its outputs
				dst = appendString(dst, string(output))
			}
		}
		dst = append(dst, ']')
	case embeds(d.Object):
		dst = append(append(dst, `,"object":`...), d.Object...)
	case utf8.Valid(d.Object):
		dst = appendString(append(dst, `,"text":`...), string(d.Object))
	default:
		dst = base64.StdEncoding.AppendEncode(append(dst, `,"base64":"`...), d.Object)
		dst = append(dst, '"')
	}
	return append(dst, '}', '\n')
}

// embeds reports whether object can be embedded in a line of JSON and read back byte for byte. A parser drops the white
// space around a value and counts the enclosing bracket toward its nesting limit.
func embeds(object []byte) bool {
	if len(object) == 0 || isBlank(object[0]) || isBlank(object[len(object)-1]) || bytes.IndexByte(object, '\n') >= 0 {
		return false
	}
	return validWithin(object, 1)
}

// ErrDeadLetter means that a line is not a dead letter.
var ErrDeadLetter = errors.New("not a dead letter")

// ParseDeadLetter parses a line that Append wrote, with or without its line break. Errors wrap ErrDeadLetter.
func ParseDeadLetter(line []byte) (DeadLetter, error) {
	var d struct {
		Ordinal  *uint64           `json:"ordinal"`
		Chunk    ID                `json:"chunk"`
		Error    string            `json:"error"`
		Attempts int               `json:"attempts"`
		Mapper   string            `json:"mapper"`
		Version  string            `json:"version"`
		Object   json.RawMessage   `json:"object"`
		Outputs  []json.RawMessage `json:"outputs"`
		Text     *string           `json:"text"`
		Base64   *[]byte           `json:"base64"`
	}
	if err := json.Unmarshal(line, &d); err != nil {
		return DeadLetter{}, fmt.Errorf("parse dead letter: %w: %w", ErrDeadLetter, err)
	}
	if d.Ordinal == nil {
		return DeadLetter{}, fmt.Errorf("parse dead letter: %w: no ordinal", ErrDeadLetter)
	}
	letter := DeadLetter{
		Ordinal: *d.Ordinal, Chunk: d.Chunk, Error: d.Error, Attempts: d.Attempts, Mapper: d.Mapper, Version: d.Version,
	}
	for _, output := range d.Outputs {
		letter.Outputs = append(letter.Outputs, output)
	}
	switch {
	case len(d.Outputs) > 0 && d.Object == nil && d.Text == nil && d.Base64 == nil:
	case d.Object != nil && d.Text == nil && d.Base64 == nil:
		letter.Object = d.Object
	case d.Object == nil && d.Text != nil && d.Base64 == nil:
		letter.Object = []byte(*d.Text)
	case d.Object == nil && d.Text == nil && d.Base64 != nil:
		letter.Object = *d.Base64
	default:
		return DeadLetter{}, fmt.Errorf("parse dead letter %d: %w: want one of object, text, base64 and outputs", letter.Ordinal, ErrDeadLetter)
	}
	return letter, nil
}

// appendString appends s as a JSON string. Each byte that is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	return AppendText(dst, []byte(s))
}

// AppendText appends text, which should be UTF-8, as a JSON string. Unlike encoding/json it does not escape '<', '>'
// and '&', so that people can read it.
func AppendText(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	first := 0 // of the bytes that are not appended yet
	for i, c := range text {
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		dst = append(dst, text[first:i]...)
		first = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, text[first:]...), '"')
}
