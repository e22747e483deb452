package direct

import (
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

const (
	// maxText is the most bytes of an object. It bounds the memory of a Program.
	maxText = 1 << 20

	// maxNest is the deepest nesting of an object. It bounds the recursion.
	maxNest = 200
)

// A node is a path that the program names, for example .a.b, and where Map keeps its value. The root is the object
// itself.
type node struct {
	index int // of its value in Program.values; those of the nodes below follow it
	size  int // number of nodes from this one down

	keys  []string // the members that the program names
	kids  []*node  // their nodes, parallel to keys
	items []*node  // the elements that the program names; nil where it names none
}

// member returns the node of a member of n.
func (n *node) member(key string) *node {
	if i := slices.Index(n.keys, key); i >= 0 {
		return n.kids[i]
	}
	kid := &node{}
	n.keys, n.kids = append(n.keys, key), append(n.kids, kid)
	return kid
}

// item returns the node of an element of n.
func (n *node) item(i int) *node {
	for len(n.items) <= i {
		n.items = append(n.items, nil)
	}
	if n.items[i] == nil {
		n.items[i] = &node{}
	}
	return n.items[i]
}

// number gives n and the nodes below it their indexes, from next on, and returns the next free one.
func (n *node) number(next int) int {
	n.index = next
	next++
	for _, kid := range n.kids {
		next = kid.number(next)
	}
	for _, item := range n.items {
		if item != nil {
			next = item.number(next)
		}
	}
	n.size = next - n.index
	return next
}

// read reads the value that begins at text[at] into n and the nodes below it. It returns the index after the value, or
// -1 if it gives up.
func (p *Program) read(n *node, text []byte, at, depth int) int {
	kind := kindOf(text[at])
	for _, kid := range n.kids {
		p.set(kid, kind == object || kind == null)
	}
	for _, item := range n.items {
		if item != nil {
			p.set(item, kind == array || kind == null)
		}
	}
	var end int
	switch {
	case kind == object && len(n.kids) > 0:
		end = p.readMembers(n, text, at, depth+1)
	case kind == array && len(n.items) > 0:
		end = p.readItems(n, text, at, depth+1)
	default:
		end = chunk.ValueEnd(text, at, maxNest-depth)
	}
	if end >= 0 {
		p.values[n.index] = value{kind: kind, text: text[at:end]}
	}
	return end
}

// set makes the values of n and of all nodes below it null, or, if the path to n does not exist, unknown.
func (p *Program) set(n *node, exists bool) {
	v := value{}
	if exists {
		v.kind = null
	}
	for i := range n.size {
		p.values[n.index+i] = v
	}
}

func (p *Program) readMembers(n *node, text []byte, at, depth int) int {
	next := 0 // objects of a job mostly have their keys in the same order
	at = chunk.SkipBlanks(text, at+1)
	if at < len(text) && text[at] == '}' {
		return at + 1
	}
	for {
		key, from := chunk.Key(text, at)
		if from < 0 || from == len(text) {
			return -1
		}
		if hasEscape(key) {
			key = p.unescape(key)
		}
		var end int
		if i := n.find(key, next); i >= 0 {
			next = i + 1
			end = p.read(n.kids[i], text, from, depth)
		} else {
			end = chunk.ValueEnd(text, from, maxNest-depth)
		}
		var more bool
		if at, more = chunk.Next(text, end, '}'); !more {
			return at
		}
	}
}

// find returns the index of key in n.keys, or -1. It looks at index next first.
func (n *node) find(key []byte, next int) int {
	if next < len(n.keys) && n.keys[next] == string(key) {
		return next
	}
	for i, known := range n.keys {
		if known == string(key) {
			return i
		}
	}
	return -1
}

func (p *Program) readItems(n *node, text []byte, at, depth int) int {
	at = chunk.SkipBlanks(text, at+1)
	if at < len(text) && text[at] == ']' {
		return at + 1
	}
	for i := 0; ; i++ {
		if at == len(text) {
			return -1
		}
		var end int
		if i < len(n.items) && n.items[i] != nil {
			end = p.read(n.items[i], text, at, depth)
		} else {
			end = chunk.ValueEnd(text, at, maxNest-depth)
		}
		var more bool
		if at, more = chunk.Next(text, end, ']'); !more {
			return at
		}
	}
}

// kindOf returns the kind of the valid value that begins with c.
func kindOf(c byte) kind {
	switch c {
	case '{':
		return object
	case '[':
		return array
	case '"':
		return str
	case 't':
		return isTrue
	case 'f':
		return isFalse
	case 'n':
		return null
	}
	return number
}
