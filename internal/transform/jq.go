package transform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/transform/direct"
)

// maxDepth bounds the nesting of an output, as encoding/json does: the encoder recurses, and a stack overflow ends the
// process.
const maxDepth = 10_000

// jq runs a jq program in this process. A process started for jq uses it. The package comment says how it differs from
// the jq command.
type jq struct {
	direct *direct.Program // tried first; nil: there is none
	code   *gojq.Code
	values []any // of the variables that code was compiled with
	limit  int   // bytes of one object's outputs
}

// parseJQ reads the part of a setting after "jq": options, if any, and a program.
func parseJQ(rest string) (Spec, error) {
	compiled, err := compileJQ(rest)
	if err != nil {
		return Spec{}, err
	}
	return Spec{build: func(s Spec) Transform {
		if s.InProcess {
			return compiled.engine(chunk.MaxObject)
		}
		return newJQProcess(rest, compiled.settings.memory, compiled.direct())
	}}, nil
}

// A jqProgram is a compiled program.
type jqProgram struct {
	code     *gojq.Code
	query    *gojq.Query // nil if it cannot be compiled by package direct
	settings jqSettings
}

// compileJQ compiles the part of a setting after "jq". It provides no environment, module loader or input: a program
// sees only the object and the variables, and is refused if it asks for more.
func compileJQ(setting string) (jqProgram, error) {
	settings, program, err := splitJQ(setting)
	if err != nil {
		return jqProgram{}, err
	}
	query, err := gojq.Parse(program)
	if err != nil {
		return jqProgram{}, fmt.Errorf("not a jq program: %w%s", err, position(program, err))
	}
	withOwn := *query
	withOwn.FuncDefs = append(slices.Clone(ownDefs()), query.FuncDefs...) // the program's own definitions win
	environment := false                                                  // gojq loads the environment only for a program that uses $ENV or env
	code, err := gojq.Compile(&withOwn, gojq.WithVariables(settings.names), gojq.WithEnvironLoader(func() []string {
		environment = true
		return nil
	}))
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "variable not defined: "):
		return jqProgram{}, fmt.Errorf("not a jq program for chunkline: %w; give it with --arg, --argjson, or jq?arg.NAME=TEXT:PROGRAM", err)
	case err != nil:
		return jqProgram{}, fmt.Errorf("not a jq program for chunkline: %w", err)
	case environment:
		return jqProgram{}, errors.New("not a jq program for chunkline: $ENV and env are not allowed, because a program has no environment; " +
			"give values with --arg, --argjson, or jq?arg.NAME=TEXT:PROGRAM")
	}
	if !utf8.ValidString(program) {
		query = nil
	}
	return jqProgram{code, query, settings}, nil
}

func (p jqProgram) engine(limit int) *jq {
	return &jq{direct: p.direct(), code: p.code, values: p.settings.values, limit: limit}
}

// direct returns the program as package direct compiles it, or nil if it cannot. Each worker has its own.
func (p jqProgram) direct() *direct.Program {
	if p.query == nil {
		return nil
	}
	variables := map[string][]byte{}
	for i, name := range p.settings.names {
		if text, ok := appendJQ(nil, p.settings.values[i], chunk.MaxObject); ok && !bytes.Contains(text, []byte(notUTF8)) {
			variables[name] = text
		}
	}
	return direct.Compile(p.query, variables)
}

// ownDefs replace functions that the library defines in a way that copies all collected values at each step. Other such
// functions, the program's own included, cannot be fixed from outside; docs/jq.md lists them.
var ownDefs = sync.OnceValue(func() []*gojq.FuncDef {
	query, err := gojq.Parse(`
		def INDEX(stream; idx_expr): [stream as $row | {($row | idx_expr | tostring): $row}] | add // {};
		def INDEX(idx_expr): INDEX(.[]; idx_expr);
		.`)
	if err != nil {
		panic(err) // it is a constant
	}
	return query.FuncDefs
})

// position returns where in program a syntax error is, counting from 1.
func position(program string, err error) string {
	syntax, ok := errors.AsType[*gojq.ParseError](err)
	if !ok {
		return ""
	}
	start := min(max(syntax.Offset-len(syntax.Token), 0), len(program))
	before := program[:start]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	if line == 1 {
		return fmt.Sprintf(" at column %d", column)
	}
	return fmt.Sprintf(" at line %d, column %d", line, column)
}

func (j *jq) Close() error { return nil }

func (j *jq) Map(ctx context.Context, object, dst []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = dst, fmt.Errorf("jq: the program made the library panic: %v", p)
		}
	}()
	if j.direct != nil {
		if out, ok := j.direct.Map(object, dst, j.limit+1); ok {
			return out, nil
		}
	}
	value, err := decode(object)
	if err != nil {
		return dst, fmt.Errorf("jq: decode object: %w", err)
	}
	e := jqEncoder{out: dst, most: len(dst) + j.limit}
	results := j.code.RunWithContext(ctx, value, j.values...)
	for {
		result, ok := results.Next()
		if !ok {
			return e.out, nil
		}
		if err, ok := result.(error); ok {
			return dst, explain(ctx, err)
		}
		switch ok := e.value(result, maxDepth); {
		case e.deep:
			return dst, fmt.Errorf("jq: an output is nested deeper than %d levels", maxDepth)
		case !ok:
			return dst, tooLarge(j.limit)
		}
		e.out = append(e.out, '\n')
	}
}

func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*gojq.HaltError](err); ok {
		// In a shell, halt would end the job; here it only fails the object.
		return fmt.Errorf("jq: the program called halt on this object: %w", err)
	}
	return fmt.Errorf("jq: %w", err)
}
