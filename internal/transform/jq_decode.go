package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// decode reads one JSON value into the types that gojq uses. Numbers keep their
// digits until the program calculates with them.
//
// Objects have been checked before they come here, so a parser for JSON's plain
// cases reads nearly all of them. encoding/json reads, or refuses, everything else.
func decode(object []byte) (any, error) {
	p := plain{text: object}
	if value, ok := p.value(0); ok {
		if p.skip(); p.at == len(p.text) {
			return value, nil
		}
	}
	return decodeAny(object)
}

// decodeAny is decode by encoding/json.
func decodeAny(object []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

// plain parses JSON's plain cases. Each method reports whether it could read what
// it saw.
type plain struct {
	text []byte
	at   int
}

func (p *plain) skip() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// next skips blanks and returns the byte that follows, 0 at the end.
func (p *plain) next() byte {
	p.skip()
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *plain) value(depth int) (any, bool) {
	if depth > maxDepth {
		return nil, false
	}
	switch c := p.next(); c {
	case '{':
		return p.object(depth + 1)
	case '[':
		return p.array(depth + 1)
	case '"':
		return p.string()
	case 't':
		return true, p.word("true")
	case 'f':
		return false, p.word("false")
	case 'n':
		return nil, p.word("null")
	default:
		return p.number()
	}
}

func (p *plain) word(word string) bool {
	if !bytes.HasPrefix(p.text[p.at:], []byte(word)) {
		return false
	}
	p.at += len(word)
	return true
}

func (p *plain) object(depth int) (any, bool) {
	p.at++
	object := map[string]any{}
	if p.next() == '}' {
		p.at++
		return object, depth <= maxDepth
	}
	for {
		if p.next() != '"' {
			return nil, false
		}
		key, ok := p.string()
		if !ok || p.next() != ':' {
			return nil, false
		}
		p.at++
		value, ok := p.value(depth)
		if !ok {
			return nil, false
		}
		object[key] = value
		switch p.next() {
		case ',':
			p.at++
		case '}':
			p.at++
			return object, depth <= maxDepth
		default:
			return nil, false
		}
	}
}

func (p *plain) array(depth int) (any, bool) {
	p.at++
	array := []any{}
	if p.next() == ']' {
		p.at++
		return array, depth <= maxDepth
	}
	for {
		value, ok := p.value(depth)
		if !ok {
			return nil, false
		}
		array = append(array, value)
		switch p.next() {
		case ',':
			p.at++
		case ']':
			p.at++
			return array, depth <= maxDepth
		default:
			return nil, false
		}
	}
}

func (p *plain) string() (string, bool) {
	start := p.at + 1
	ascii := true
	for i := start; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			p.at = i + 1
			text := p.text[start:i]
			return string(text), ascii || utf8.Valid(text)
		case c == '\\':
			return p.escaped(i)
		case c < ' ':
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", false
}

// escaped reads a string whose first backslash is at i.
func (p *plain) escaped(i int) (text string, ok bool) {
	for ; i < len(p.text); i++ {
		switch p.text[i] {
		case '\\':
			i++
		case '"':
			ok = json.Unmarshal(p.text[p.at:i+1], &text) == nil
			p.at = i + 1
			return text, ok
		}
	}
	return "", false
}

func (p *plain) number() (any, bool) {
	start := p.at
	p.sign("-")
	if p.at < len(p.text) && p.text[p.at] == '0' {
		p.at++
	} else if !p.digits() {
		return nil, false
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if !p.digits() {
			return nil, false
		}
	}
	if p.at < len(p.text) && p.text[p.at]|' ' == 'e' {
		p.at++
		p.sign("+-")
		if !p.digits() {
			return nil, false
		}
	}
	return json.Number(p.text[start:p.at]), true
}

// sign skips one of signs, if one is there.
func (p *plain) sign(signs string) {
	if p.at < len(p.text) && bytes.IndexByte([]byte(signs), p.text[p.at]) >= 0 {
		p.at++
	}
}

// digits skips digits and reports whether there are any.
func (p *plain) digits() bool {
	start := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}
