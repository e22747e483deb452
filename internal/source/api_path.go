package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// A path finds values in a JSON text and leaves their bytes unchanged. It is a jq path made of these steps: . .name
// ["name"] [0] [-1] [].
type path []step

type step struct {
	name  string
	index int
	kind  stepKind
}

type stepKind int

const (
	byName stepKind = iota
	byIndex
	each
)

var stepForm = regexp.MustCompile(`^(?:\.?\[("(?:[^"\\]|\\.)*"|-?[0-9]{1,9})?\]|\.([A-Za-z_][A-Za-z0-9_]*)|\.("(?:[^"\\]|\\.)*"))`)

// errMissing means that a page has nothing at a path.
var errMissing = errors.New("the page has nothing")

func parsePath(text string) (path, error) {
	p := path{}
	if text == "." {
		return p, nil
	}
	for rest := text; rest != ""; {
		m := stepForm.FindStringSubmatch(rest)
		if m == nil || text[0] != '.' {
			return nil, errors.New(`use a path such as .data.items, .["odd name"], .[0].rows or .items[].user`)
		}
		rest = rest[len(m[0]):]
		switch inBrackets, name := m[1], m[2]+m[3]; {
		case name == "" && inBrackets == "":
			p = append(p, step{kind: each})
		case name == "" && inBrackets[0] != '"':
			index, _ := strconv.Atoi(inBrackets) // at most 9 digits
			p = append(p, step{kind: byIndex, index: index})
		default:
			if name += inBrackets; name[0] == '"' {
				if err := json.Unmarshal([]byte(name), &name); err != nil {
					return nil, fmt.Errorf("%s is not a JSON string", name)
				}
			}
			p = append(p, step{kind: byName, name: name})
		}
	}
	return p, nil
}

// find returns the values at the path. Any step into null gives null.
func (p path) find(value json.RawMessage) ([]json.RawMessage, error) {
	if len(p) == 0 {
		return []json.RawMessage{value}, nil
	}
	if string(value) == "null" {
		if p[0].kind == each {
			return nil, nil
		}
		return p[1:].find(value)
	}
	if p[0].kind == byName {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil, fmt.Errorf("%w called %q, because its parent is not an object", errMissing, p[0].name)
		}
		member, ok := object[p[0].name]
		if !ok {
			return nil, fmt.Errorf("%w called %q", errMissing, p[0].name)
		}
		return p[1:].find(member)
	}
	var array []json.RawMessage
	if json.Unmarshal(value, &array) != nil {
		return nil, fmt.Errorf("%w at [], because it is not an array", errMissing)
	}
	if p[0].kind == byIndex {
		i := p[0].index
		if i < 0 {
			i += len(array)
		}
		if i < 0 || i >= len(array) {
			return p[1:].find(json.RawMessage("null"))
		}
		return p[1:].find(array[i])
	}
	var all []json.RawMessage
	for _, element := range array {
		values, err := p[1:].find(element)
		if err != nil {
			return nil, err
		}
		all = append(all, values...)
	}
	return all, nil
}

// A selector finds the next URL or cursor in the header or the body of a page.
type selector struct {
	header string
	path   path
}

func parseSelector(text string) (s selector, err error) {
	if name, ok := strings.CutPrefix(text, "header:"); ok {
		if name == "" {
			return s, errors.New("name the header, as in header:X-Next-Cursor")
		}
		return selector{header: name}, nil
	}
	s.path, err = parsePath(text)
	return s, err
}

// find returns the selected text, or "" if it is missing, empty, null or false.
func (s selector) find(header http.Header, body json.RawMessage) (string, error) {
	if s.header != "" {
		return header.Get(s.header), nil
	}
	values, err := s.path.find(body)
	if errors.Is(err, errMissing) || err == nil && len(values) == 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	switch value := values[0]; {
	case len(values) > 1 || value[0] == '{' || value[0] == '[' || string(value) == "true":
		return "", errors.New("what it finds is not one string or number")
	case string(value) == "null" || string(value) == "false":
		return "", nil
	case value[0] == '"':
		var text string
		err := json.Unmarshal(value, &text)
		return text, err
	default:
		return string(value), nil
	}
}
