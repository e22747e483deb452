package direct

import (
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// maxSize bounds a compiled program, in parts. A part that is used several times counts each time, so this also bounds
// the time for an object.
const maxSize = 500

// Compile compiles a program that gojq has compiled without an error and whose text is valid UTF-8. variables holds the
// JSON texts of its variables, whose names begin with $. Compile returns nil if every object would have to be mapped by
// gojq.
func Compile(query *gojq.Query, variables map[string][]byte) *Program {
	c := &compiler{variables: variables}
	p := &Program{root: &node{}}
	p.stmts = c.outputs(query, path{p.root}, printed)
	if c.size > maxSize || alwaysGivesUp(p.stmts) {
		return nil
	}
	next := p.root.number(0)
	for _, root := range c.roots {
		next = root.number(next)
	}
	p.values = make([]value, next)
	return p
}

// alwaysGivesUp reports whether statements give up on every object.
func alwaysGivesUp(stmts []stmt) bool {
	return slices.ContainsFunc(stmts, func(s stmt) bool {
		switch s := s.(type) {
		case giveUp:
			return true
		case branch:
			return alwaysGivesUp(s.then) && alwaysGivesUp(s.otherwise)
		case *each:
			return alwaysGivesUp(s.stmts)
		}
		return false
	})
}

type compiler struct {
	variables map[string][]byte
	roots     []*node // of all each and bind
	size      int     // parts so far
	depth     int     // of the calls of outputs and single
	failed    bool    // the expression that is being compiled is left to gojq
}

// enter counts a part. It returns false if there are too many, or they are nested too deep.
func (c *compiler) enter(q *gojq.Query) bool {
	c.depth++
	if c.failed {
		return false
	}
	c.size++
	return c.size <= maxSize && c.depth <= maxNest &&
		len(q.FuncDefs)+len(q.Imports)+len(q.Patterns) == 0 && q.Meta == nil
}

// fail leaves the expression that is being compiled to gojq.
func (c *compiler) fail() expr {
	c.failed = true
	return nil
}

// then compiles an expression. next makes the statements that follow it.
func (c *compiler) then(compile func() expr, next func(expr) []stmt) []stmt {
	before := c.failed
	c.failed = false
	e := compile()
	failed := c.failed
	c.failed = before
	if failed {
		return []stmt{giveUp{}}
	}
	return next(e)
}

// printed returns the statements that print an expression.
func printed(e expr) []stmt { return []stmt{output{e}} }

// outputs compiles a query with any number of outputs. in is its input, and next makes the statements that follow each
// output.
func (c *compiler) outputs(q *gojq.Query, in path, next func(expr) []stmt) []stmt {
	defer func() { c.depth-- }()
	switch {
	case !c.enter(q), q.Op == gojq.OpPipe && mergesPush(q):
		return []stmt{giveUp{}}
	case q.Term != nil:
		return c.termOutputs(q.Term, in, next)
	case q.Op == gojq.OpPipe:
		return c.outputs(q.Left, in, func(e expr) []stmt {
			first, at := c.bind(e)
			return append([]stmt{check{first}}, c.outputs(q.Right, at, next)...)
		})
	case q.Op == gojq.OpComma:
		return append(c.outputs(q.Left, in, next), c.outputs(q.Right, in, next)...)
	}
	return c.then(func() expr { return c.operation(q, in) }, next)
}

func (c *compiler) termOutputs(t *gojq.Term, in path, next func(expr) []stmt) []stmt {
	if suffix, base := cutSuffix(t); suffix != nil {
		return c.outputs(base, in, func(e expr) []stmt {
			switch {
			case suffix.Iter:
				return c.each(e, next)
			case suffix.Index != nil:
				return c.then(func() expr { return c.index(e, suffix.Index) }, next)
			}
			return []stmt{giveUp{}}
		})
	}
	switch {
	case t.Type == gojq.TermTypeQuery:
		return c.outputs(t.Query, in, next)
	case t.Type == gojq.TermTypeIf:
		return c.branch(t.If, in, next)
	case isCall(t, "empty", 0):
		return nil
	case isCall(t, "select", 1):
		return c.then(func() expr { return c.single(t.Func.Args[0], in) }, func(condition expr) []stmt {
			return []stmt{branch{condition: condition, then: next(in)}}
		})
	}
	return c.then(func() expr { return c.term(t, in) }, next)
}

// cutSuffix splits the last suffix off a term, as [] of .a[].
func cutSuffix(t *gojq.Term) (*gojq.Suffix, *gojq.Query) {
	n := len(t.SuffixList)
	if n == 0 {
		return nil, nil
	}
	base := *t
	base.SuffixList = base.SuffixList[:n-1]
	return t.SuffixList[n-1], &gojq.Query{Term: &base}
}

func isCall(t *gojq.Term, name string, arguments int) bool {
	return t.Type == gojq.TermTypeFunc && t.Func.Name == name && len(t.Func.Args) == arguments
}

func (c *compiler) each(e expr, next func(expr) []stmt) []stmt {
	root := &node{}
	c.roots = append(c.roots, root)
	return []stmt{&each{of: e, root: root, stmts: next(path{root})}}
}

func (c *compiler) branch(q *gojq.If, in path, next func(expr) []stmt) []stmt {
	return c.then(func() expr { return c.single(q.Cond, in) }, func(condition expr) []stmt {
		b := branch{condition: condition, then: c.outputs(q.Then, in, next)}
		switch {
		case len(q.Elif) > 0:
			b.otherwise = c.branch(otherwise(q), in, next)
		case q.Else != nil:
			b.otherwise = c.outputs(q.Else, in, next)
		default:
			b.otherwise = next(in)
		}
		return []stmt{b}
	})
}

// otherwise returns the first elif of q and what follows as an if.
func otherwise(q *gojq.If) *gojq.If {
	return &gojq.If{Cond: q.Elif[0].Cond, Then: q.Elif[0].Then, Elif: q.Elif[1:], Else: q.Else}
}

// mergesPush reports whether gojq v0.12.20 may compile a pipe wrongly. Its optimizer merges a value with the constant
// or variable that follows it, even if the left side of the pipe can jump there: select((.a or .b) | true) prints true
// instead of its input. Such a pipe is left to gojq, so that a program prints the same whether or not all of it is
// compiled here.
func mergesPush(q *gojq.Query) bool {
	left := q.Left.Term
	straight := left != nil && (len(left.SuffixList) > 0 || left.Type != gojq.TermTypeQuery && left.Type != gojq.TermTypeIf)
	return !straight && startsWithPush(q.Right)
}

// startsWithPush reports whether a query begins with a constant or a variable.
func startsWithPush(q *gojq.Query) bool {
	switch {
	case q.Term == nil:
		return q.Op == gojq.OpPipe && startsWithPush(q.Left)
	case q.Term.Type == gojq.TermTypeQuery:
		return startsWithPush(q.Term.Query)
	case q.Term.Type == gojq.TermTypeFunc:
		return strings.HasPrefix(q.Term.Func.Name, "$")
	}
	return q.Term.Type != gojq.TermTypeIdentity && q.Term.Type != gojq.TermTypeIndex && q.Term.Type != gojq.TermTypeIf
}

// bind turns the value of e into a path, for the right side of a pipe. first must be evaluated before the path.
func (c *compiler) bind(e expr) (first expr, at path) {
	if at, ok := e.(path); ok {
		return e, at
	}
	root := &node{}
	c.roots = append(c.roots, root)
	return bind{e, root}, path{root}
}

// single compiles a query that has exactly one output.
func (c *compiler) single(q *gojq.Query, in path) expr {
	defer func() { c.depth-- }()
	switch {
	case !c.enter(q), q.Op == gojq.OpPipe && mergesPush(q):
		return c.fail()
	case q.Term != nil:
		return c.term(q.Term, in)
	case q.Op == gojq.OpPipe:
		first, at := c.bind(c.single(q.Left, in))
		return sequence{first, c.single(q.Right, at)}
	}
	return c.operation(q, in)
}

// operation compiles an operator whose operands have one output each.
func (c *compiler) operation(q *gojq.Query, in path) expr {
	if q.Op == gojq.OpComma || q.Left == nil || q.Right == nil {
		return c.fail()
	}
	l, r := c.single(q.Left, in), c.single(q.Right, in)
	truth := func(e expr) expr { return choice{e, constant{boolean(true)}, constant{boolean(false)}} }
	switch q.Op {
	case gojq.OpAdd:
		if left, ok := l.(sum); ok {
			return append(left, r)
		}
		return sum{l, r}
	case gojq.OpAnd:
		return choice{l, truth(r), constant{boolean(false)}}
	case gojq.OpOr:
		return choice{l, constant{boolean(true)}, truth(r)}
	case gojq.OpAlt:
		return alternative{l, r}
	case gojq.OpSub, gojq.OpMul, gojq.OpDiv:
		return arithmetic{q.Op.String()[0], l, r}
	default: // a comparison, or an operator that is left to gojq
	}
	result, ok := map[gojq.Operator][3]bool{
		gojq.OpEq: {false, true, false}, gojq.OpNe: {true, false, true},
		gojq.OpLt: {true, false, false}, gojq.OpLe: {true, true, false},
		gojq.OpGt: {false, false, true}, gojq.OpGe: {false, true, true},
	}[q.Op]
	if !ok {
		return c.fail()
	}
	return comparison{l, r, result}
}
