package direct

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func hasEscape(raw []byte) bool { return bytes.IndexByte(raw, '\\') >= 0 }

// unescape returns the text of a JSON string without its quotes, which is valid.
func (p *Program) unescape(raw []byte) []byte {
	start := len(p.arena)
	p.arena = appendUnescaped(p.arena, raw)
	return p.arena[start:len(p.arena):len(p.arena)]
}

// appendUnescaped appends the text of a JSON string without its quotes, as encoding/json reads it: half of a surrogate
// pair is U+FFFD.
func appendUnescaped(dst, raw []byte) []byte {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:i]...)
		c := raw[i+1]
		raw = raw[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(raw)
			raw = raw[4:]
			if utf16.IsSurrogate(r) {
				other := rune(-1)
				if len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
					other = hex4(raw[2:])
				}
				if r = utf16.DecodeRune(r, other); r != utf8.RuneError {
					raw = raw[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		r <<= 4
		switch {
		case c <= '9':
			r |= rune(c - '0')
		default:
			r |= rune(c|0x20-'a') + 10
		}
	}
	return r
}

// AppendEscaped appends s, which is valid UTF-8, with gojq's escapes and without quotes.
func AppendEscaped[T string | []byte](dst []byte, s T) []byte {
	start := 0
	for i := range len(s) {
		if c := s[i]; special[c] {
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			start = i + 1
		}
	}
	return append(dst, s[start:]...)
}

// special says which bytes of valid UTF-8 need an escape.
var special = func() (special [256]bool) {
	for c := range ' ' {
		special[c] = true
	}
	special['"'], special['\\'], special[0x7f] = true, true, true
	return special
}()

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xF])
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// isPlain reports whether the text of a JSON string, which is valid, is printed as it is: it has no backslash and no
// DEL.
func isPlain(raw []byte) bool {
	for len(raw) >= 8 {
		x := binary.LittleEndian.Uint64(raw)
		slash, del := x^(ones*'\\'), x^(ones*0x7f)
		if ((slash-ones)&^slash|(del-ones)&^del)&highs != 0 {
			return false
		}
		raw = raw[8:]
	}
	for _, c := range raw {
		if c == '\\' || c == 0x7f {
			return false
		}
	}
	return true
}

// AppendFloat appends f as gojq prints it: NaN as null, infinities as the largest numbers, and an exponent only below
// 1e-6 and from 1e21 on.
func AppendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) {
		return append(dst, "null"...)
	}
	f = min(max(f, -math.MaxFloat64), math.MaxFloat64)
	if size := math.Abs(f); size == 0 || 1e-6 <= size && size < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' { // 1e-09 is 1e-9
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
