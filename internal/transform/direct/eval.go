package direct

import (
	"bytes"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// An expr is a part of a program that has exactly one value.
type expr interface {
	// eval returns the value, which is unknown if it gives up. A string may be a literal of the object; load makes it
	// ready for use.
	eval(p *Program) value
}

// loaded is eval and load.
func loaded(p *Program, e expr) value { return p.load(e.eval(p)) }

// A path is a value of the object.
type path struct{ node *node }

func (e path) eval(p *Program) value { return p.values[e.node.index] }

// A constant is a literal of the program.
type constant struct{ value value }

func (e constant) eval(*Program) value { return e.value }

// A bind is the left side of a pipe: its value becomes the values of root and the nodes below it.
type bind struct {
	of   expr
	root *node
}

func (e bind) eval(p *Program) value {
	v := e.of.eval(p)
	switch {
	case v.kind == unknown:
	case v.kind >= array && p.read(e.root, v.text, 0, 0) < 0:
		return value{}
	case v.kind < array:
		p.set(e.root, v.kind == null)
		p.values[e.root.index] = v
	}
	return v
}

// A sequence is a pipe.
type sequence struct{ first, then expr }

func (e sequence) eval(p *Program) value {
	if v := e.first.eval(p); v.kind == unknown {
		return v
	}
	return e.then.eval(p)
}

// A choice is an if, or one of the operators "and" and "or".
type choice struct{ condition, then, otherwise expr }

func (e choice) eval(p *Program) value {
	c := e.condition.eval(p)
	switch {
	case c.kind == unknown:
		return c
	case c.truthy():
		return e.then.eval(p)
	}
	return e.otherwise.eval(p)
}

// An alternative is the operator //.
type alternative struct{ first, otherwise expr }

func (e alternative) eval(p *Program) value {
	if v := e.first.eval(p); v.kind == unknown || v.truthy() {
		return v
	}
	return e.otherwise.eval(p)
}

// A comparison is ==, !=, <, <=, > or >=: result has the answer for the orders -1, 0 and 1.
type comparison struct {
	left, right expr
	result      [3]bool
}

func (e comparison) eval(p *Program) value {
	order, ok := compare(loaded(p, e.left), loaded(p, e.right))
	if !ok {
		return value{}
	}
	return boolean(e.result[order+1])
}

// Arithmetic is -, * and /.
type arithmetic struct {
	op          byte
	left, right expr
}

func (e arithmetic) eval(p *Program) value { return calculate(e.op, e.left.eval(p), e.right.eval(p)) }

// A sum is a chain of +, or a string with values in it.
type sum []expr

func (e sum) eval(p *Program) value {
	first := len(p.terms)
	defer func() { p.terms = p.terms[:first] }()
	for _, term := range e {
		v := loaded(p, term)
		if v.kind == unknown {
			return v
		}
		p.terms = append(p.terms, v)
	}
	return p.add(p.terms[first:])
}

// add adds loaded values from left to right.
func (p *Program) add(terms []value) value {
	total, start := terms[0], -1 // start is where total begins in the arena, if it is the last there
	for _, v := range terms[1:] {
		switch {
		case v.kind == number && total.kind == null:
			total = v.calculable()
		case v.kind == number && total.kind == number:
			total = calculate('+', total, v)
		case v.kind == null && total.kind == number:
			total = total.calculable()
		case v.kind == null:
		case total.kind == null:
			total = v
		case v.kind == str && total.kind == str:
			if start < 0 {
				start = len(p.arena)
				p.arena = append(p.arena, total.text...)
			}
			p.arena = append(p.arena, v.text...)
			if len(p.arena) > maxArena {
				return value{}
			}
			total.text = p.arena[start:len(p.arena):len(p.arena)]
		default:
			return value{}
		}
		if total.kind == unknown {
			return total
		}
	}
	return total
}

// An objectOf is an object that the program constructs. Its fields are in the order of their keys.
type objectOf struct {
	fields  []field
	dropped []expr // the values of fields that a later one with the same key replaces
}

type field struct {
	head  []byte // { or , and the key and the colon
	value expr
}

func (e *objectOf) eval(p *Program) value {
	out, ok := e.append(p, nil)
	if !ok {
		return value{}
	}
	return value{kind: object, text: out}
}

func (e *objectOf) append(p *Program, dst []byte) ([]byte, bool) {
	for _, value := range e.dropped {
		if value.eval(p).kind == unknown {
			return dst, false
		}
	}
	if len(e.fields) == 0 {
		return append(dst, "{}"...), true
	}
	for i := range e.fields {
		dst = append(dst, e.fields[i].head...)
		var ok bool
		if dst, ok = p.print(dst, e.fields[i].value); !ok {
			return dst, false
		}
	}
	return append(dst, '}'), true
}

// An arrayOf is an array that the program constructs from the outputs of statements.
type arrayOf struct{ elements []stmt }

func (e *arrayOf) eval(p *Program) value {
	out, ok := e.append(p, nil)
	if !ok {
		return value{}
	}
	return value{kind: array, text: out}
}

func (e *arrayOf) append(p *Program, dst []byte) ([]byte, bool) {
	dst = append(dst, '[')
	start := len(dst)
	dst, ok := p.run(e.elements, dst, ',')
	if len(dst) > start {
		dst = dst[:len(dst)-1]
	}
	return append(dst, ']'), ok
}

// print appends the value of e as JSON.
func (p *Program) print(dst []byte, e expr) ([]byte, bool) {
	switch e := e.(type) {
	case *objectOf:
		return e.append(p, dst)
	case *arrayOf:
		return e.append(p, dst)
	}
	return p.append(dst, e.eval(p))
}

// A call is a function of one value, which is loaded.
type call struct {
	of       expr
	function func(p *Program, v value) value
}

func (e call) eval(p *Program) value {
	v := loaded(p, e.of)
	if v.kind == unknown {
		return v
	}
	return e.function(p, v)
}

// A call2 is a function of a string and an argument that is a string.
type call2 struct {
	of, argument expr
	function     func(s, argument []byte) value
}

func (e call2) eval(p *Program) value {
	s, argument := loaded(p, e.of), loaded(p, e.argument)
	if s.kind != str || argument.kind != str {
		return value{}
	}
	return e.function(s.text, argument.text)
}

var functions = map[string]func(p *Program, v value) value{
	"not":            func(_ *Program, v value) value { return boolean(!v.truthy()) },
	"length":         length,
	"type":           func(_ *Program, v value) value { return textOf([]byte(v.typeName())) },
	"tostring":       (*Program).tostring,
	"tonumber":       tonumber,
	"ascii_downcase": func(p *Program, v value) value { return p.mapASCII(v, 'A', 'Z') },
	"ascii_upcase":   func(p *Program, v value) value { return p.mapASCII(v, 'a', 'z') },
}

var functions2 = map[string]func(s, argument []byte) value{
	"startswith": func(s, argument []byte) value { return boolean(bytes.HasPrefix(s, argument)) },
	"endswith":   func(s, argument []byte) value { return boolean(bytes.HasSuffix(s, argument)) },
	"contains":   func(s, argument []byte) value { return boolean(bytes.Contains(s, argument)) },
	"ltrimstr":   func(s, argument []byte) value { return textOf(bytes.TrimPrefix(s, argument)) },
	"rtrimstr":   func(s, argument []byte) value { return textOf(bytes.TrimSuffix(s, argument)) },
}

func length(_ *Program, v value) value {
	n := 0
	switch v.kind {
	case null:
	case str:
		n = utf8.RuneCount(v.text)
	case array:
		at := chunk.SkipBlanks(v.text, 1)
		for more := v.text[at] != ']'; more; n++ {
			at, more = chunk.Next(v.text, chunk.ValueEnd(v.text, at, maxNest), ']')
		}
	default:
		return value{}
	}
	return value{kind: number, form: integer, integer: int64(n)}
}

func tonumber(_ *Program, v value) value {
	switch {
	case v.kind == number:
		return v
	case v.kind == str && len(v.text) > 0 && chunk.NumberEnd(v.text, 0) == len(v.text):
		return parseNumber(string(v.text))
	}
	return value{}
}

// mapASCII changes the case of the letters from first to last.
func (p *Program) mapASCII(v value, first, last byte) value {
	if v.kind != str {
		return value{}
	}
	start := len(p.arena)
	p.arena = append(p.arena, v.text...)
	changed := p.arena[start:len(p.arena):len(p.arena)]
	for i, c := range changed {
		if first <= c && c <= last {
			changed[i] = c ^ 0x20
		}
	}
	return textOf(changed)
}
