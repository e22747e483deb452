package direct

import (
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// maxArena is the most bytes of strings that a program makes for one object.
const maxArena = 4 << 20

// A Program is a compiled program. It is not for concurrent use.
type Program struct {
	root  *node
	stmts []stmt
	most  int // bytes of the output buffer that an object may fill

	// Of the object that is mapped:
	values  []value  // of the nodes
	arena   []byte   // strings that are not in the object as they are
	terms   []value  // of sums
	members []member // of objects that are printed or iterated
	moved   []byte   // the members of an object whose order changes
}

// Map appends the outputs of the program for an object to dst, each followed by a line break. They have at most limit
// bytes. It returns dst unchanged and false if gojq must map the object.
func (p *Program) Map(in, dst []byte, limit int) (out []byte, ok bool) {
	defer func() {
		if recover() != nil { // a bug here only costs time, because gojq then maps the object
			out, ok = dst, false
		}
	}()
	return p.mapObject(in, dst, limit)
}

func (p *Program) mapObject(in, dst []byte, limit int) (out []byte, ok bool) {
	defer func() {
		if cap(p.arena) > maxText || cap(p.moved) > maxText {
			p.arena, p.moved = nil, nil
		}
		p.arena, p.terms, p.members = p.arena[:0], p.terms[:0], p.members[:0]
	}()
	at := chunk.SkipBlanks(in, 0)
	if at == len(in) || len(in) > maxText || !utf8.Valid(in) {
		return dst, false
	}
	end := p.read(p.root, in, at, 0)
	if end < 0 || chunk.SkipBlanks(in, end) < len(in) {
		return dst, false
	}
	p.most = len(dst) + limit
	out, ok = p.run(p.stmts, dst, '\n')
	if !ok || len(out) > p.most {
		return dst, false
	}
	return out, true
}

// A stmt is a part of a program that prints any number of outputs.
type stmt interface {
	// run appends the outputs, each followed by end, or gives up.
	run(p *Program, dst []byte, end byte) ([]byte, bool)
}

func (p *Program) run(stmts []stmt, dst []byte, end byte) ([]byte, bool) {
	for _, s := range stmts {
		var ok bool
		if dst, ok = s.run(p, dst, end); !ok {
			return dst, false
		}
	}
	return dst, true
}

// An output prints one value.
type output struct{ value expr }

func (s output) run(p *Program, dst []byte, end byte) ([]byte, bool) {
	dst, ok := p.print(dst, s.value)
	return append(dst, end), ok
}

// A check gives up if the value does not exist.
type check struct{ value expr }

func (s check) run(p *Program, dst []byte, _ byte) ([]byte, bool) {
	return dst, s.value.eval(p).kind != unknown
}

// A branch is an if or a select.
type branch struct {
	condition       expr
	then, otherwise []stmt
}

func (s branch) run(p *Program, dst []byte, end byte) ([]byte, bool) {
	c := s.condition.eval(p)
	switch {
	case c.kind == unknown:
		return dst, false
	case c.truthy():
		return p.run(s.then, dst, end)
	}
	return p.run(s.otherwise, dst, end)
}

// An each is .[]: its statements run for each element of an array or member of an object, which is at root.
type each struct {
	of    expr
	root  *node
	stmts []stmt
}

func (s *each) run(p *Program, dst []byte, end byte) ([]byte, bool) {
	v := s.of.eval(p)
	if v.kind != array && v.kind != object {
		return dst, false
	}
	first := len(p.members)
	defer func() { p.members = p.members[:first] }()
	p.list(v.text)
	members := p.members[first:]
	if v.kind == object {
		members = sortMembers(members)
	}
	for _, m := range members {
		p.read(s.root, m.value, 0, 0)
		var ok bool
		if dst, ok = p.run(s.stmts, dst, end); !ok {
			return dst, false
		}
	}
	return dst, true
}

// list appends the elements or members of a container to p.members.
func (p *Program) list(in []byte) {
	inObject, bracket := in[0] == '{', in[0]+2
	at := chunk.SkipBlanks(in, 1)
	for more := in[at] != bracket; more; {
		var m member
		if inObject {
			m.key, at = chunk.Key(in, at)
			if hasEscape(m.key) {
				m.key = p.unescape(m.key)
			}
		}
		end := chunk.ValueEnd(in, at, maxNest)
		m.value = in[at:end]
		p.members = append(p.members, m)
		at, more = chunk.Next(in, end, bracket)
	}
}

// A giveUp is a part of a program that Compile does not know.
type giveUp struct{}

func (giveUp) run(_ *Program, dst []byte, _ byte) ([]byte, bool) { return dst, false }
