package chunk

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// MaxDepth is the nesting limit of encoding/json, so that every transform can read a value that passes here.
const MaxDepth = 10_000

// valid reports whether b is one JSON value in valid UTF-8, with optional white space around it: exactly as
// encoding/json.Valid does (FuzzValid compares them), at over twice its speed, because every byte of a job passes
// through it. Numbers of any size, repeated keys and lone surrogate escapes are valid.
func valid(b []byte) bool { return validWithin(b, 0) }

// validWithin is valid for a value with outer enclosing brackets.
func validWithin(b []byte, outer int) bool {
	end := ValueEnd(b, SkipBlanks(b, 0), MaxDepth-outer)
	return end >= 0 && SkipBlanks(b, end) == len(b) && utf8.Valid(b)
}

// ValueEnd returns the index after the JSON value that begins at b[i], or -1 if none does or its brackets are nested
// more than depth deep. It does not check UTF-8.
func ValueEnd(b []byte, i, depth int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return StringEnd(b, i+1)
	case '{', '[':
		return containerEnd(b, i, depth-1)
	case 't':
		return WordEnd(b, i, "true")
	case 'f':
		return WordEnd(b, i, "false")
	case 'n':
		return WordEnd(b, i, "null")
	}
	return NumberEnd(b, i)
}

func containerEnd(b []byte, i, depth int) int {
	if depth < 0 {
		return -1
	}
	inObject, bracket := b[i] == '{', b[i]+2 // ']' is '['+2, '}' is '{'+2
	if i = SkipBlanks(b, i+1); i < len(b) && b[i] == bracket {
		return i + 1
	}
	for more := true; more; {
		if inObject {
			if _, i = Key(b, i); i < 0 {
				return -1
			}
		}
		i, more = Next(b, ValueEnd(b, i, depth), bracket)
	}
	return i
}

// Key reads the key that begins at b[i] and its colon. It returns the text between its quotes and the index of the
// value, or -1.
func Key(b []byte, i int) (key []byte, value int) {
	if i >= len(b) || b[i] != '"' {
		return nil, -1
	}
	end := StringEnd(b, i+1)
	if end < 0 {
		return nil, -1
	}
	if value = SkipBlanks(b, end); value == len(b) || b[value] != ':' {
		return nil, -1
	}
	return b[i+1 : end-1], SkipBlanks(b, value+1)
}

// Next reads what follows a value in an array or object that closes with bracket. end is the index after the value, or
// -1. If more, i is the index of the next element or key; otherwise it is the index after bracket, or -1 if there is
// neither.
func Next(b []byte, end int, bracket byte) (i int, more bool) {
	if end < 0 {
		return -1, false
	}
	if end = SkipBlanks(b, end); end == len(b) {
		return -1, false
	}
	switch b[end] {
	case ',':
		return SkipBlanks(b, end+1), true
	case bracket:
		return end + 1, false
	}
	return -1, false
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

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// StringEnd returns the index after the quote that ends the string whose content begins at i, or -1 if it is not valid
// JSON. It does not check UTF-8. It examines eight bytes at a time.
func StringEnd(b []byte, i int) int {
	for {
		for len(b)-i >= 8 {
			x := binary.LittleEndian.Uint64(b[i:])
			quote, slash := x^(ones*'"'), x^(ones*'\\')
			// The lowest bit that is set marks the first byte below 0x20, '"' or '\\'; a borrow can only give a false
			// bit above a true one.
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

// digitsEnd returns the index after the digits at i, of which there must be at least one.
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
