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

// Parse reads a line, and replaces the members. They refer to the line's bytes. The error, an ErrNoRow, says why the line
// cannot be a row: it must be one JSON object in valid UTF-8 that has no key twice.
func (o *Object) Parse(line []byte) error {
	*o = (*o)[:0]
	if !utf8.Valid(line) {
		return noRow("it is not valid UTF-8")
	}
	i := chunk.SkipBlanks(line, 0)
	if i == len(line) || line[i] != '{' {
		return noRow("it is not a JSON object")
	}
	i = chunk.SkipBlanks(line, i+1)
	for first := true; ; first = false {
		if i < len(line) && line[i] == '}' && first {
			break
		}
		end, err := o.member(line, i)
		if err != nil {
			return err
		}
		if i = chunk.SkipBlanks(line, end); i < len(line) && line[i] == '}' {
			break
		}
		if i == len(line) || line[i] != ',' {
			return errNoJSON
		}
		i = chunk.SkipBlanks(line, i+1)
	}
	if chunk.SkipBlanks(line, i+1) != len(line) {
		return errNoJSON
	}
	if key := o.twice(); key != nil {
		return noRow("it has the key %q twice", key)
	}
	return nil
}

var errNoJSON = noRow("it is not valid JSON")

// member reads the member that begins at i, and returns the index after it.
func (o *Object) member(line []byte, i int) (end int, err error) {
	if i == len(line) || line[i] != '"' {
		return 0, errNoJSON
	}
	end = chunk.StringEnd(line, i+1)
	if end < 0 {
		return 0, errNoJSON
	}
	key, ok := text(line[i:end])
	if !ok {
		return 0, noRow("it has the key %s with half of a surrogate pair", line[i:end])
	}
	if i = chunk.SkipBlanks(line, end); i == len(line) || line[i] != ':' {
		return 0, errNoJSON
	}
	i = chunk.SkipBlanks(line, i+1)
	if end = valueEnd(line, i); end < 0 {
		return 0, errNoJSON
	}
	*o = append(*o, Member{key, line[i:end]})
	return end, nil
}

// valueEnd returns the index after the value that begins at i, or -1 if none does.
func valueEnd(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return chunk.StringEnd(b, i+1)
	case 't':
		return chunk.WordEnd(b, i, "true")
	case 'f':
		return chunk.WordEnd(b, i, "false")
	case 'n':
		return chunk.WordEnd(b, i, "null")
	case '{', '[':
		end := bracketEnd(b, i)
		if end < 0 || !json.Valid(b[i:end]) {
			return -1
		}
		return end
	}
	return chunk.NumberEnd(b, i)
}

// bracketEnd returns the index after the bracket that closes the one at i, or -1.
func bracketEnd(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			if i = chunk.StringEnd(b, i+1); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// few is how many members are compared with each other; of more, a map finds a repeated key faster.
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
			i += 10 // and one by the loop; the other half follows the escape
		}
		i++ // what a backslash escapes
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
