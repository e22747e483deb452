package direct

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/chunkline/chunkline/internal/chunk"
)

// append appends v as JSON to dst. v need not be loaded: a string of the object can be copied with its escapes.
func (p *Program) append(dst []byte, v value) ([]byte, bool) {
	switch v.kind {
	case null:
		dst = append(dst, "null"...)
	case isFalse:
		dst = append(dst, "false"...)
	case isTrue:
		dst = append(dst, "true"...)
	case number:
		switch v.form {
		case integer:
			dst = strconv.AppendInt(dst, v.integer, 10)
		case float:
			dst = AppendFloat(dst, v.float)
		default:
			dst = append(dst, v.text...)
		}
	case str:
		switch {
		case v.form == unescaped:
			dst = append(AppendEscaped(append(dst, '"'), v.text), '"')
		case isPlain(v.text):
			dst = append(dst, v.text...)
		default:
			dst = append(AppendEscaped(append(dst, '"'), p.load(v).text), '"')
		}
	case array, object:
		dst, _ = p.rewrite(dst, v.text, 0)
	case unknown:
		return dst, false
	}
	return dst, len(dst) <= p.most
}

// tostring converts v, which is loaded, as jq's tostring does.
func (p *Program) tostring(v value) value {
	if v.kind == str {
		return v
	}
	out, ok := p.append(nil, v) // not into the arena, which append may need for itself
	if !ok {
		return value{}
	}
	return textOf(out)
}

// rewrite appends the valid value that begins at in[at] as gojq prints it, and returns the index after it.
func (p *Program) rewrite(dst, in []byte, at int) ([]byte, int) {
	switch in[at] {
	case '{':
		return p.rewriteObject(dst, in, at)
	case '[':
		dst = append(dst, '[')
		at = chunk.SkipBlanks(in, at+1)
		for in[at] != ']' {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			dst, at = p.rewrite(dst, in, at)
			if at = chunk.SkipBlanks(in, at); in[at] == ',' {
				at = chunk.SkipBlanks(in, at+1)
			}
		}
		return append(dst, ']'), at + 1
	case '"':
		end := chunk.StringEnd(in, at+1)
		dst, _ = p.append(dst, value{kind: str, text: in[at:end]})
		return dst, end
	}
	end := chunk.ValueEnd(in, at, maxNest)
	return append(dst, in[at:end]...), end
}

// A member is a member of an object.
type member struct {
	key   []byte // without escapes
	value []byte // its JSON text
	// or, while the object is printed:
	from, to int // where key and value are in the output
}

// rewriteObject is rewrite for an object. It prints the members in the order of the input, and then moves them if that
// is not the order of their keys.
func (p *Program) rewriteObject(dst, in []byte, at int) ([]byte, int) {
	first, start, sorted := len(p.members), len(dst)+1, true
	dst = append(dst, '{')
	at = chunk.SkipBlanks(in, at+1)
	for in[at] != '}' {
		key, from := chunk.Key(in, at)
		if hasEscape(key) {
			key = p.unescape(key)
		}
		if n := len(p.members); n > first {
			dst = append(dst, ',')
			sorted = sorted && bytes.Compare(p.members[n-1].key, key) < 0
		}
		p.members = append(p.members, member{key: key, from: len(dst)})
		this := len(p.members) - 1
		dst = append(AppendEscaped(append(dst, '"'), key), '"', ':')
		dst, at = p.rewrite(dst, in, from)
		p.members[this].to = len(dst)
		if at = chunk.SkipBlanks(in, at); in[at] == ',' {
			at = chunk.SkipBlanks(in, at+1)
		}
	}
	if members := p.members[first:]; !sorted {
		p.moved = append(p.moved[:0], dst[start:]...)
		dst = dst[:start]
		for i, m := range sortMembers(members) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, p.moved[m.from-start:m.to-start]...)
		}
	}
	p.members = p.members[:first]
	return append(dst, '}'), at + 1
}

// sortMembers sorts members by their keys in place and keeps the last of several with the same key.
func sortMembers(members []member) []member {
	slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	kept := members[:0]
	for i, m := range members {
		if i+1 == len(members) || !bytes.Equal(m.key, members[i+1].key) {
			kept = append(kept, m)
		}
	}
	return kept
}
