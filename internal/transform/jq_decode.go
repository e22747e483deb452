package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// decode reads one JSON value into the types that gojq uses. Numbers keep their
// digits until the program calculates with them.
//
// Objects have been checked before they come here, so a parser for JSON's plain
// cases reads nearly all of them. encoding/json reads, or refuses, everything else.
func decode(object []byte) (any, error) {
	p := plain{text: object, copy: string(object)}
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

// plain parses JSON's plain cases. Each method returns false for anything else.
type plain struct {
	text []byte
	copy string // of text; the strings and numbers are parts of it, which saves memory for each
	at   int
}

func (p *plain) skip() { p.at = chunk.SkipBlanks(p.text, p.at) }

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

func (p *plain) string() (text string, ok bool) {
	start, end := p.at, chunk.StringEnd(p.text, p.at+1)
	if end < 0 {
		return "", false
	}
	p.at = end
	if bytes.IndexByte(p.text[start:end], '\\') >= 0 {
		ok = json.Unmarshal(p.text[start:end], &text) == nil
		return text, ok
	}
	text = p.copy[start+1 : end-1]
	return text, utf8.ValidString(text)
}

func (p *plain) number() (any, bool) {
	start := p.at
	if start == len(p.text) {
		return nil, false
	}
	end := chunk.NumberEnd(p.text, start)
	if end < 0 {
		return nil, false
	}
	p.at = end
	return json.Number(p.copy[start:end]), true
}
