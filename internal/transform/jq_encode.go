package transform

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/chunkline/chunkline/internal/transform/direct"
)

// notUTF8 is how gojq prints a byte that is not part of valid UTF-8.
const notUTF8 = `\ufffd`

// appendJQ appends a value of gojq to dst. It returns false, and a part of the text, if the text has more than room
// bytes or the value is nested deeper than maxDepth.
func appendJQ(dst []byte, value any, room int) (out []byte, ok bool) {
	e := jqEncoder{out: dst, most: len(dst) + room}
	ok = e.value(value, maxDepth)
	return e.out, ok
}

// A jqEncoder encodes values of gojq as gojq.Marshal prints them, without the buffer that Marshal makes for each value.
// FuzzEncode compares both. It stops where a value is too large or too deep, because a few steps of a program can build
// a value that is small in memory and endless as text: reduce range(60) as $i (1; [., .]).
type jqEncoder struct {
	out     []byte
	most    int        // the length that out may reach
	deep    bool       // a value was nested too deep
	members []jqMember // of the objects that are being encoded
}

type jqMember struct {
	key   string
	value any
}

// value encodes a value whose brackets are nested up to depth deep.
func (e *jqEncoder) value(value any, depth int) bool {
	switch value := value.(type) {
	case nil:
		e.out = append(e.out, "null"...)
	case bool:
		e.out = strconv.AppendBool(e.out, value)
	case int:
		e.out = strconv.AppendInt(e.out, int64(value), 10)
	case float64:
		e.out = direct.AppendFloat(e.out, value)
	case json.Number:
		e.out = append(e.out, value...)
	case *big.Int:
		if !e.hasRoom(value.BitLen() / 4) { // the digits of a large number take long to compute
			return false
		}
		e.out = value.Append(e.out, 10)
	case string:
		if !e.hasRoom(len(value)) {
			return false
		}
		e.string(value)
	case []any:
		e.deep = depth == 0
		return !e.deep && e.array(value, depth-1)
	case map[string]any:
		e.deep = depth == 0
		return !e.deep && e.object(value, depth-1)
	default:
		text, err := gojq.Marshal(value)
		e.out = append(e.out, text...)
		return err == nil && e.hasRoom(0)
	}
	return e.hasRoom(0)
}

// hasRoom reports whether out may have n more bytes.
func (e *jqEncoder) hasRoom(n int) bool { return n <= e.most-len(e.out) }

func (e *jqEncoder) array(array []any, depth int) bool {
	e.out = append(e.out, '[')
	for i, element := range array {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if !e.value(element, depth) {
			return false
		}
	}
	e.out = append(e.out, ']')
	return e.hasRoom(0)
}

func (e *jqEncoder) object(object map[string]any, depth int) bool {
	first := len(e.members)
	for key, value := range object {
		e.members = append(e.members, jqMember{key, value})
	}
	members := e.members[first:]
	slices.SortFunc(members, func(a, b jqMember) int { return strings.Compare(a.key, b.key) })
	e.out = append(e.out, '{')
	for i, m := range members {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.string(m.key)
		e.out = append(e.out, ':')
		if !e.value(m.value, depth) {
			return false
		}
	}
	e.members = e.members[:first]
	e.out = append(e.out, '}')
	return e.hasRoom(0)
}

func (e *jqEncoder) string(s string) {
	e.out = append(e.out, '"')
	if utf8.ValidString(s) {
		e.out = direct.AppendEscaped(e.out, s)
	} else {
		for i, r := range s {
			if rest := s[i:]; r == utf8.RuneError && !strings.HasPrefix(rest, string(r)) {
				e.out = append(e.out, notUTF8...)
			} else {
				e.out = direct.AppendEscaped(e.out, rest[:utf8.RuneLen(r)])
			}
		}
	}
	e.out = append(e.out, '"')
}
