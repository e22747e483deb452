package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// decode reads one JSON value into the types that gojq uses. Numbers keep their digits until the program calculates
// with them.
//
// Objects have been checked before they come here, so a parser for JSON's plain cases reads nearly all of them.
// encoding/json reads, or refuses, everything else.
func decode(object []byte) (any, error) {
	p := plain{text: object, copy: string(object)}
	if value, end := p.value(chunk.SkipBlanks(object, 0), maxDepth); end >= 0 && chunk.SkipBlanks(object, end) == len(object) {
		return value, nil
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

// plain parses JSON's plain cases. Each method reads what begins at an index, and returns the index after it, or -1 for
// anything else.
type plain struct {
	text []byte
	copy string // of text; the strings and numbers are parts of it, which saves memory for each
}

// value reads a value whose brackets are nested up to depth deep.
func (p *plain) value(at, depth int) (any, int) {
	if at == len(p.text) {
		return nil, -1
	}
	switch p.text[at] {
	case '{', '[':
		switch {
		case depth == 0:
			return nil, -1
		case p.text[at] == '{':
			return p.object(at, depth-1)
		}
		return p.array(at, depth-1)
	case '"':
		return p.string(at, chunk.StringEnd(p.text, at+1))
	case 't':
		return true, chunk.WordEnd(p.text, at, "true")
	case 'f':
		return false, chunk.WordEnd(p.text, at, "false")
	case 'n':
		return nil, chunk.WordEnd(p.text, at, "null")
	}
	end := chunk.NumberEnd(p.text, at)
	if end < 0 {
		return nil, -1
	}
	return json.Number(p.copy[at:end]), end
}

func (p *plain) object(at, depth int) (any, int) {
	object := map[string]any{}
	if at = chunk.SkipBlanks(p.text, at+1); at < len(p.text) && p.text[at] == '}' {
		return object, at + 1
	}
	for more := true; more; {
		key, from := chunk.Key(p.text, at)
		if from < 0 {
			return nil, -1
		}
		name, named := p.string(at, at+len(key)+len(`""`))
		value, end := p.value(from, depth)
		if named < 0 {
			return nil, -1
		}
		object[name] = value
		at, more = chunk.Next(p.text, end, '}')
	}
	return object, at
}

func (p *plain) array(at, depth int) (any, int) {
	array := []any{}
	if at = chunk.SkipBlanks(p.text, at+1); at < len(p.text) && p.text[at] == ']' {
		return array, at + 1
	}
	for more := true; more; {
		value, end := p.value(at, depth)
		array = append(array, value)
		at, more = chunk.Next(p.text, end, ']')
	}
	return array, at
}

// string reads a string that ends before end, if that is not -1.
func (p *plain) string(at, end int) (text string, _ int) {
	switch {
	case end < 0:
		return "", -1
	case bytes.IndexByte(p.text[at:end], '\\') >= 0:
		if json.Unmarshal(p.text[at:end], &text) != nil {
			return "", -1
		}
		return text, end
	}
	text = p.copy[at+1 : end-1]
	if !utf8.ValidString(text) {
		return "", -1
	}
	return text, end
}
