package direct

import (
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// term compiles a term that has exactly one output.
func (c *compiler) term(t *gojq.Term, in path) expr {
	if suffix, base := cutSuffix(t); suffix != nil {
		return c.index(c.single(base, in), suffix.Index)
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
		return in
	case gojq.TermTypeNull:
		return constant{value{kind: null}}
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return constant{boolean(t.Type == gojq.TermTypeTrue)}
	case gojq.TermTypeNumber:
		return c.constant(parseNumber(t.Number))
	case gojq.TermTypeUnary:
		return c.negative(t.Unary)
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
		return c.fail()
	}
}

func (c *compiler) constant(v value) expr {
	if v.kind == unknown {
		return c.fail()
	}
	return constant{v}
}

// negative compiles a number with a minus.
func (c *compiler) negative(u *gojq.Unary) expr {
	if u.Op != gojq.OpSub || u.Term.Type != gojq.TermTypeNumber || len(u.Term.SuffixList) > 0 {
		return c.fail()
	}
	v := parseNumber(u.Term.Number)
	v.integer, v.float = -v.integer, -v.float
	return c.constant(v)
}

// index compiles .NAME, ."NAME", ["NAME"] and [NUMBER] after e. x is nil for another suffix.
func (c *compiler) index(e expr, x *gojq.Index) expr {
	if c.failed || x == nil || x.IsSlice {
		return c.fail()
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
		return after(at.node.member(x.Name))
	case s == nil && x.Start.Term != nil && len(x.Start.Term.SuffixList)+len(x.Start.FuncDefs) == 0:
		switch t := x.Start.Term; t.Type {
		case gojq.TermTypeNumber:
			v := parseNumber(t.Number)
			if v.form != integer || v.integer < 0 || v.integer > maxSize {
				return c.fail()
			}
			return after(at.node.item(int(v.integer)))
		case gojq.TermTypeString:
			s = t.Str
		default: // is left to gojq
		}
	}
	if s == nil || s.Queries != nil {
		return c.fail()
	}
	return after(at.node.member(s.Str))
}

func (c *compiler) string(s *gojq.String, in path) expr {
	if len(s.Queries) == 0 {
		return constant{textOf([]byte(s.Str))}
	}
	var parts sum
	for _, q := range s.Queries {
		e := c.single(q, in)
		if q.Term.Str == nil {
			e = call{e, (*Program).tostring}
		}
		parts = append(parts, e)
	}
	return parts
}

func (c *compiler) object(o *gojq.Object, in path) expr {
	values := map[string]expr{}
	var keys []string
	e := &objectOf{}
	for _, kv := range o.KeyVals {
		key, value := c.keyValue(kv, in)
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
	return e
}

func (c *compiler) keyValue(kv *gojq.ObjectKeyVal, in path) (key string, value expr) {
	key = kv.Key
	if s := kv.KeyString; key == "" && s != nil && s.Queries == nil {
		key = s.Str
	} else if key == "" {
		return "", c.fail()
	}
	variable := strings.HasPrefix(kv.Key, "$")
	switch {
	case variable && kv.Val == nil: // {$name}
		return key[1:], c.variable(key)
	case variable:
		return "", c.fail()
	case kv.Val == nil: // {name}
		return key, c.index(in, &gojq.Index{Str: &gojq.String{Str: key}})
	}
	return key, c.single(kv.Val, in)
}

// array compiles [q], or [] if q is nil.
func (c *compiler) array(q *gojq.Query, in path) expr {
	e := &arrayOf{}
	if q != nil {
		e.elements = c.outputs(q, in, printed)
	}
	if alwaysGivesUp(e.elements) {
		return c.fail()
	}
	return e
}

func (c *compiler) choice(q *gojq.If, in path) expr {
	e := choice{c.single(q.Cond, in), c.single(q.Then, in), in}
	switch {
	case len(q.Elif) > 0:
		e.otherwise = c.choice(otherwise(q), in)
	case q.Else != nil:
		e.otherwise = c.single(q.Else, in)
	}
	return e
}

func (c *compiler) call(f *gojq.Func, in path) expr {
	switch {
	case strings.HasPrefix(f.Name, "$"):
		return c.variable(f.Name)
	case f.Name == "map" && len(f.Args) == 1:
		return c.array(&gojq.Query{
			Left:  &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{{Iter: true}}}},
			Op:    gojq.OpPipe,
			Right: f.Args[0],
		}, in)
	case len(f.Args) == 0 && functions[f.Name] != nil:
		return call{in, functions[f.Name]}
	case len(f.Args) == 1 && functions2[f.Name] != nil:
		return call2{in, c.single(f.Args[0], in), functions2[f.Name]}
	}
	return c.fail()
}

func (c *compiler) variable(name string) expr {
	v, ok := c.variables[name]
	if !ok {
		return c.fail()
	}
	return constant{value{kind: kindOf(v[0]), text: v}}
}
