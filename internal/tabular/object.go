package tabular

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// ErrNoRow means that an output cannot be the row of a table.
var ErrNoRow = errors.New("the output cannot be a row of a table")

func noRow(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNoRow, fmt.Sprintf(format, args...))
}

// A Member is a key of a JSON object and its value.
type Member struct {
	Key   []byte // decoded
	Value []byte // JSON, without white space around it
}

// An Object is the members of a JSON object, in their order. Reuse it for the next object.
type Object []Member

// Parse reads a line, and replaces the members. They refer to the line's bytes. The error, an ErrNoRow, says why the
// line cannot be a row: it must be one JSON object in valid UTF-8 that has no key twice.
func (o *Object) Parse(line []byte) (err error) {
	*o = (*o)[:0]
	if !utf8.Valid(line) {
		return noRow("it is not valid UTF-8")
	}
	i := chunk.SkipBlanks(line, 0)
	if i == len(line) || line[i] != '{' {
		return noRow("it is not a JSON object")
	}
	if i = chunk.SkipBlanks(line, i+1); i < len(line) && line[i] == '}' {
		i++
	} else if i, err = o.members(line, i); err != nil {
		return err
	}
	if chunk.SkipBlanks(line, i) != len(line) {
		return errNoJSON
	}
	if key := o.twice(); key != nil {
		return noRow("it has the key %q twice", key)
	}
	return nil
}

var errNoJSON = noRow("it is not valid JSON")

// members reads the members that begin at i, and returns the index after their object.
func (o *Object) members(line []byte, i int) (int, error) {
	for more := true; more; {
		key, at := chunk.Key(line, i)
		if at < 0 {
			return 0, errNoJSON
		}
		name, ok := text(line[i : i+len(key)+2])
		if !ok {
			return 0, noRow("it has the key \"%s\" with half of a surrogate pair", key)
		}
		end := chunk.ValueEnd(line, at, chunk.MaxDepth-1)
		if i, more = chunk.Next(line, end, '}'); i < 0 {
			return 0, errNoJSON
		}
		*o = append(*o, Member{name, line[at:end]})
	}
	return i, nil
}

// few is the most members that are compared with each other. With more, a map finds a repeated key faster.
const few = 16

// twice returns a key that is there twice, or nil.
func (o *Object) twice() []byte {
	if len(*o) > few {
		seen := make(map[string]bool, len(*o))
		for _, m := range *o {
			if seen[string(m.Key)] {
				return m.Key
			}
			seen[string(m.Key)] = true
		}
		return nil
	}
	for i, m := range *o {
		for _, before := range (*o)[:i] {
			if bytes.Equal(before.Key, m.Key) {
				return m.Key
			}
		}
	}
	return nil
}

// text decodes a JSON string. ok is false if it has half of a surrogate pair, which UTF-8 cannot represent.
func text(quoted []byte) (decoded []byte, ok bool) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], true
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil || halfPair(quoted) {
		return []byte(s), false
	}
	return []byte(s), true
}

// halfPair reports whether a JSON string has an escaped half of a surrogate pair without the other half.
func halfPair(quoted []byte) bool {
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		if r := escaped(quoted[i:]); utf16.IsSurrogate(r) {
			if utf16.DecodeRune(r, escaped(quoted[i+6:])) == utf8.RuneError {
				return true
			}
			i += 10 // with the two increments that follow, past both halves
		}
		i++ // past the character after the backslash
	}
	return false
}

// escaped returns the code unit of the escape \uXXXX that b begins with, or 0.
func escaped(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}
