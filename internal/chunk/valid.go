package chunk

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// maxDepth is the nesting limit of encoding/json, so that every transform can read
// a value that passes here.
const maxDepth = 10_000

// A checker decides whether bytes are a JSON value, exactly as encoding/json.Valid
// does (FuzzChecker compares them), at over twice its speed: every byte of a job
// passes through it.
//
// The zero value is ready. Reuse it, because clearing the stack for each object
// would cost more than checking the object.
type checker struct {
	// One bit for every open bracket: is the enclosing bracket a '{'?
	stack [maxDepth/64 + 1]uint64
}

// valid reports whether b is one JSON value in valid UTF-8, with optional white
// space around it. Numbers of any size, repeated keys and lone surrogate escapes
// are valid.
func (k *checker) valid(b []byte) bool { return k.within(b, 0) }

// within is valid for a value with outer enclosing brackets.
func (k *checker) within(b []byte, outer int) bool {
	end := k.end(b, maxDepth-outer)
	return end >= 0 && SkipBlanks(b, end) == len(b) && utf8.Valid(b)
}

// value returns the index after the JSON value with which b begins, or -1 if b does
// not begin with a whole value. It does not check UTF-8.
func (k *checker) value(b []byte) int { return k.end(b, maxDepth) }

// end is value with its own nesting limit, at most maxDepth.
func (k *checker) end(b []byte, limit int) int {
	i, depth, inObject := 0, 0, false
	for {
		if i = SkipBlanks(b, i); i == len(b) {
			return -1
		}
		switch c := b[i]; c {
		case '"':
			i = StringEnd(b, i+1)
		case '{', '[':
			if depth == limit {
				return -1
			}
			k.push(depth, inObject)
			depth++
			inObject = c == '{'
			if i = SkipBlanks(b, i+1); i == len(b) {
				return -1
			}
			if b[i] != c+2 { // ']' is '['+2, '}' is '{'+2
				if inObject {
					if i = keyEnd(b, i); i < 0 {
						return -1
					}
				}
				continue // with the first value inside
			}
			i++
			depth--
			inObject = k.pop(depth)
		case 't':
			i = WordEnd(b, i, "true")
		case 'f':
			i = WordEnd(b, i, "false")
		case 'n':
			i = WordEnd(b, i, "null")
		default:
			i = NumberEnd(b, i)
		}
		if i < 0 {
			return -1
		}
		for more := false; !more; { // a value has ended: continue in the enclosing one
			if depth == 0 {
				return i
			}
			if i = SkipBlanks(b, i); i == len(b) {
				return -1
			}
			c := b[i]
			i++
			switch {
			case c == ',':
				if inObject {
					if i = keyEnd(b, SkipBlanks(b, i)); i < 0 {
						return -1
					}
				}
				more = true
			case c == '}' && inObject, c == ']' && !inObject:
				depth--
				inObject = k.pop(depth)
			default:
				return -1
			}
		}
	}
}

func (k *checker) push(level int, inObject bool) {
	bit := uint64(1) << (level % 64)
	if inObject {
		k.stack[level/64] |= bit
	} else {
		k.stack[level/64] &^= bit
	}
}

func (k *checker) pop(level int) bool {
	return k.stack[level/64]>>(level%64)&1 != 0
}

// isBlank reports whether c is white space between JSON tokens.
func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// SkipBlanks returns the index of the first byte from i on that is not white space.
func SkipBlanks(b []byte, i int) int {
	for i < len(b) && isBlank(b[i]) {
		i++
	}
	return i
}

// keyEnd returns the index after the key and the colon that begin at i.
func keyEnd(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i = StringEnd(b, i+1); i < 0 {
		return -1
	}
	if i = SkipBlanks(b, i); i == len(b) || b[i] != ':' {
		return -1
	}
	return i + 1
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// StringEnd returns the index after the quote that ends the string whose content
// begins at i, or -1 if it is not valid JSON. It does not check UTF-8. It examines
// eight bytes at a time.
func StringEnd(b []byte, i int) int {
	for {
		for len(b)-i >= 8 {
			x := binary.LittleEndian.Uint64(b[i:])
			quote, slash := x^(ones*'"'), x^(ones*'\\')
			// The lowest bit that is set marks the first byte below 0x20, '"' or
			// '\\'; a borrow can only give a false bit above a true one.
			found := ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs
			if found != 0 {
				i += bits.TrailingZeros64(found) / 8
				break
			}
			i += 8
		}
		for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
			i++
		}
		switch {
		case i == len(b) || b[i] < 0x20:
			return -1
		case b[i] == '"':
			return i + 1
		}
		if i = escapeEnd(b, i+1); i < 0 {
			return -1
		}
	}
}

// escapeEnd returns the index after the escape whose backslash is before i.
func escapeEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(b)-i < 5 {
			return -1
		}
		for _, c := range b[i+1 : i+5] {
			if lower := c | 0x20; (c < '0' || c > '9') && (lower < 'a' || lower > 'f') {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

// WordEnd returns the index after word if it is at i, and -1 if it is not.
func WordEnd(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// NumberEnd returns the index after the number that begins at i, or -1 if none does.
func NumberEnd(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digitsEnd(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digitsEnd(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digitsEnd(b, i)
	}
	return i
}

// digitsEnd returns the index after the digits at i, of which there must be at
// least one.
func digitsEnd(b []byte, i int) int {
	first := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == first {
		return -1
	}
	return i
}
