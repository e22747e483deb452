package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// How text for people stands in a header: as it is when it is plain ASCII,
// else as a JSON string in ASCII, told by its first character, the quote.

// writeText returns s for a header, cut after most bytes.
func writeText(s string, most int) string {
	s = clip(s, most)
	if isPlain(s) && strings.TrimSpace(s) == s && !strings.HasPrefix(s, `"`) {
		return s
	}
	return asciiJSON(s)
}

// clip returns the beginning of s, at most most bytes, as valid UTF-8: bytes
// that are not become U+FFFD.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// readText reads what writeText wrote.
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

// asciiJSON encodes v, of strings and finite numbers, as JSON without any byte
// above '~'.
func asciiJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("bus: encode %T: %v", v, err)) // strings and finite numbers always encode
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
