package direct

import (
	"bytes"
	"cmp"
	"math"
	"strconv"
	"strings"
)

// A kind is the type of a value. The kinds are in jq's order of types.
type kind uint8

const (
	unknown kind = iota // gojq must map the object: a path does not exist, or the program needs something that this package lacks
	null
	isFalse
	isTrue
	number
	str
	array
	object
)

// A value is a value of the object or a result.
type value struct {
	kind kind
	form form

	// text is the JSON text of an array or an object, and of a number or a string whose form is literal. For an
	// unescaped string it is the text without quotes and escapes.
	text    []byte
	integer int64   // a number whose form is integer
	float   float64 // a number whose form is float
}

type form uint8

const (
	literal form = iota
	integer
	float
	unescaped
)

func boolean(b bool) value {
	if b {
		return value{kind: isTrue}
	}
	return value{kind: isFalse}
}

func textOf(s []byte) value { return value{kind: str, form: unescaped, text: s} }

func (v value) truthy() bool { return v.kind != null && v.kind != isFalse }

// typeName returns the result of jq's function type.
func (v value) typeName() string {
	return [...]string{null: "null", isFalse: "boolean", isTrue: "boolean", number: "number", str: "string", array: "array", object: "object"}[v.kind]
}

// load prepares a value for use: it removes the quotes and escapes of a literal string.
func (p *Program) load(v value) value {
	if v.kind != str || v.form != literal {
		return v
	}
	raw := v.text[1 : len(v.text)-1]
	if hasEscape(raw) {
		raw = p.unescape(raw)
	}
	return textOf(raw)
}

// calculable turns the literal of a number into an integer or a float; see parseNumber.
func (v value) calculable() value {
	if v.form != literal {
		return v
	}
	return parseNumber(string(v.text))
}

// parseNumber reads a number as gojq does. Numbers that gojq keeps as big integers, and those that are too large, are
// unknown.
func parseNumber(s string) value {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return value{kind: number, form: integer, integer: i}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && strings.ContainsAny(s, ".eE") {
		return value{kind: number, form: float, float: f}
	}
	return value{}
}

// asFloat returns a calculable number as a float.
func (v value) asFloat() float64 {
	if v.form == integer {
		return float64(v.integer)
	}
	return v.float
}

// compare compares two loaded values as jq does.
func compare(l, r value) (order int, ok bool) {
	switch {
	case l.kind == unknown || r.kind == unknown:
		return 0, false
	case l.kind != r.kind:
		return cmp.Compare(l.kind, r.kind), true
	case l.kind == str:
		return bytes.Compare(l.text, r.text), true
	case l.kind > str:
		return 0, false
	case l.kind != number:
		return 0, true
	}
	l, r = l.calculable(), r.calculable()
	if l.kind == unknown || r.kind == unknown {
		return 0, false
	}
	if l.form == integer && r.form == integer {
		return cmp.Compare(l.integer, r.integer), true
	}
	return cmp.Compare(l.asFloat(), r.asFloat()), true // neither is NaN
}

// calculate returns l op r. It gives up unless both are numbers, and the result is an int64 or a finite float.
func calculate(op byte, l, r value) value {
	if l.kind != number || r.kind != number {
		return value{}
	}
	l, r = l.calculable(), r.calculable()
	if l.kind == unknown || r.kind == unknown {
		return value{}
	}
	if l.form == integer && r.form == integer {
		i, exact, ok := calculateInt(op, l.integer, r.integer)
		switch {
		case !ok:
			return value{}
		case exact:
			return value{kind: number, form: integer, integer: i}
		}
	}
	x, y := l.asFloat(), r.asFloat()
	switch op {
	case '+':
		x += y
	case '-':
		x -= y
	case '*':
		x *= y
	case '/':
		if y == 0 {
			return value{}
		}
		x /= y
	}
	if math.IsInf(x, 0) {
		return value{}
	}
	return value{kind: number, form: float, float: x}
}

// calculateInt calculates with integers. It reports !ok if the result does not fit, and !exact if it is a fraction.
func calculateInt(op byte, x, y int64) (z int64, exact, ok bool) {
	switch op {
	case '+':
		z = x + y
		return z, true, (z >= x) == (y >= 0)
	case '-':
		z = x - y
		return z, true, (z <= x) == (y >= 0)
	case '*':
		const most = math.MaxInt32 // products of larger numbers are rare
		return x * y, true, -most <= x && x <= most && -most <= y && y <= most
	}
	if y == 0 || y == -1 {
		return 0, false, false
	}
	return x / y, x%y == 0, true
}
