package direct

import (
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// term compiles a term that has exactly one output.
func (c *compiler) term(t *gojq.Term, in path) (expr, bool) {
	if suffix, base := cutSuffix(t); suffix != nil {
		e, ok := c.single(base, in)
		if !ok || suffix.Index == nil {
			return nil, false
		}
		return c.index(e, suffix.Index)
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
		return in, true
	case gojq.TermTypeNull:
		return constant{value{kind: null}}, true
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return constant{boolean(t.Type == gojq.TermTypeTrue)}, true
	case gojq.TermTypeNumber:
		v, ok := parseNumber(t.Number)
		return constant{v}, ok
	case gojq.TermTypeUnary:
		return negative(t.Unary)
	case gojq.TermTypeIndex:
		return c.index(in, t.Index)
	case gojq.TermTypeString:
		return c.string(t.Str, in)
	case gojq.TermTypeObject:
		return c.object(t.Object, in)
	case gojq.TermTypeArray:
		return c.array(t.Array.Query, in)
	case gojq.TermTypeQuery:
		return c.single(t.Query, in)
	case gojq.TermTypeIf:
		return c.choice(t.If, in)
	case gojq.TermTypeFunc:
		return c.call(t.Func, in)
	default: // is left to gojq
	}
	return nil, false
}

// negative compiles a number with a minus.
func negative(u *gojq.Unary) (expr, bool) {
	if u.Op != gojq.OpSub || u.Term.Type != gojq.TermTypeNumber || len(u.Term.SuffixList) > 0 {
		return nil, false
	}
	v, ok := parseNumber(u.Term.Number)
	v.integer, v.float = -v.integer, -v.float
	return constant{v}, ok
}

// index compiles .NAME, ."NAME", ["NAME"] and [NUMBER] after e.
func (c *compiler) index(e expr, x *gojq.Index) (expr, bool) {
	if x.IsSlice {
		return nil, false
	}
	first, at := c.bind(e)
	after := func(n *node) expr {
		if _, ok := e.(path); ok {
			return path{n}
		}
		return sequence{first, path{n}}
	}
	s := x.Str
	switch {
	case x.Name != "":
		return after(at.node.member(x.Name)), true
	case s == nil && x.Start.Term != nil && len(x.Start.Term.SuffixList)+len(x.Start.FuncDefs) == 0:
		switch t := x.Start.Term; t.Type {
		case gojq.TermTypeNumber:
			v, ok := parseNumber(t.Number)
			if !ok || v.form != integer || v.integer < 0 || v.integer > maxSize {
				return nil, false
			}
			return after(at.node.item(int(v.integer))), true
		case gojq.TermTypeString:
			s = t.Str
		default: // is left to gojq
		}
	}
	if s == nil || s.Queries != nil {
		return nil, false
	}
	return after(at.node.member(s.Str)), true
}

func (c *compiler) string(s *gojq.String, in path) (expr, bool) {
	if s.Queries == nil {
		return constant{textOf([]byte(s.Str))}, true
	}
	var parts sum
	for _, q := range s.Queries {
		e, ok := c.single(q, in)
		if !ok {
			return nil, false
		}
		if q.Term.Str == nil {
			e = call{e, (*Program).tostring}
		}
		parts = append(parts, e)
	}
	return parts, len(parts) > 0
}

func (c *compiler) object(o *gojq.Object, in path) (expr, bool) {
	values := map[string]expr{}
	var keys []string
	e := &objectOf{}
	for _, kv := range o.KeyVals {
		key, value, ok := c.keyValue(kv, in)
		if !ok {
			return nil, false
		}
		if earlier, twice := values[key]; twice {
			e.dropped = append(e.dropped, earlier)
		} else {
			keys = append(keys, key)
		}
		values[key] = value
	}
	slices.Sort(keys)
	for i, key := range keys {
		head := append(AppendEscaped([]byte(`,"`), []byte(key)), '"', ':')
		if i == 0 {
			head[0] = '{'
		}
		e.fields = append(e.fields, field{head, values[key]})
	}
	return e, true
}

func (c *compiler) keyValue(kv *gojq.ObjectKeyVal, in path) (key string, value expr, ok bool) {
	variable := strings.HasPrefix(kv.Key, "$")
	switch {
	case kv.Key != "":
		key = kv.Key
	case kv.KeyString != nil && kv.KeyString.Queries == nil:
		key = kv.KeyString.Str
	default:
		return "", nil, false
	}
	switch {
	case variable && kv.Val == nil: // {$name}
		value, ok = c.variable(key)
		key = key[1:]
	case variable:
		return "", nil, false
	case kv.Val == nil: // {name}
		value, ok = c.index(in, &gojq.Index{Str: &gojq.String{Str: key}})
	default:
		value, ok = c.single(kv.Val, in)
	}
	return key, value, ok
}

// array compiles [q], or [] if q is nil.
func (c *compiler) array(q *gojq.Query, in path) (expr, bool) {
	e := &arrayOf{}
	if q != nil {
		e.elements = c.outputs(q, in, func(e expr) []stmt { return []stmt{output{e}} })
	}
	return e, !alwaysGivesUp(e.elements)
}

func (c *compiler) choice(q *gojq.If, in path) (expr, bool) {
	condition, ok := c.single(q.Cond, in)
	if !ok {
		return nil, false
	}
	then, ok := c.single(q.Then, in)
	if !ok {
		return nil, false
	}
	other := expr(in)
	switch {
	case len(q.Elif) > 0:
		other, ok = c.choice(otherwise(q), in)
	case q.Else != nil:
		other, ok = c.single(q.Else, in)
	}
	return choice{condition, then, other}, ok
}

func (c *compiler) call(f *gojq.Func, in path) (expr, bool) {
	switch {
	case strings.HasPrefix(f.Name, "$"):
		return c.variable(f.Name)
	case f.Name == "map" && len(f.Args) == 1:
		return c.array(&gojq.Query{
			Left:  &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{{Iter: true}}}},
			Op:    gojq.OpPipe,
			Right: f.Args[0],
		}, in)
	case len(f.Args) == 0:
		function, ok := functions[f.Name]
		return call{in, function}, ok
	case len(f.Args) == 1:
		function, ok := functions2[f.Name]
		if !ok {
			return nil, false
		}
		argument, ok := c.single(f.Args[0], in)
		return call2{in, argument, function}, ok
	}
	return nil, false
}

func (c *compiler) variable(name string) (expr, bool) {
	v, ok := c.variables[name]
	if !ok {
		return nil, false
	}
	return constant{value{kind: kindOf(v[0]), text: v}}, true
}
