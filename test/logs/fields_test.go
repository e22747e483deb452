package logs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// calls has the fields and messages in the product's log calls.
type calls struct {
	fields map[string]string // name: where
	urgent map[string]string // message at warn or error: where
}

// methods are zerolog's methods that add a field, whose name is the first argument.
var methods = map[string]bool{
	"Bool": true, "Bytes": true, "Dur": true, "Float64": true, "Hex": true, "Int": true, "Int64": true, "Interface": true, "Any": true,
	"Str": true, "Strs": true, "Stringer": true, "Time": true, "Uint": true, "Uint64": true, "Uint32": true, "AnErr": true, "Array": true, "Dict": true,
}

// chain returns the methods of a.b().c().d(), first to last, and its first operand.
func chain(e ast.Expr) (names []string, root ast.Expr) {
	for {
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return names, e
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return names, call.Fun
		}
		names = append([]string{selector.Sel.Name}, names...)
		e = selector.X
	}
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// read collects the log calls of all files except tests.
func read(t *testing.T) calls {
	t.Helper()
	found := calls{fields: map[string]string{}, urgent: map[string]string{}}
	for _, root := range []string{"../../internal", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"github.com/rs/zerolog"` }) ||
				strings.Contains(path, "/bus/") || strings.Contains(path, "/fetcher/") || strings.Contains(path, "/mapper/") || strings.Contains(path, "/saver/") {
				ast.Inspect(file, func(n ast.Node) bool { found.look(set, n); return true })
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func (c *calls) look(set *token.FileSet, n ast.Node) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return
	}
	if name, ok := call.Fun.(*ast.SelectorExpr); ok && name.Sel.Name == "NewTrouble" || isNamed(call.Fun, "trouble") {
		level, _ := call.Args[0].(*ast.SelectorExpr)
		if level != nil && level.Sel.Name == "DebugLevel" {
			return
		}
		for _, arg := range call.Args {
			if text, ok := literal(arg); ok && text != "" {
				c.urgent[text] = set.Position(call.Pos()).String()
			}
		}
		return
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return
	}
	text, ok := literal(call.Args[0])
	if !ok {
		return
	}
	at := set.Position(call.Pos()).String()
	names, _ := chain(call)
	switch method := selector.Sel.Name; {
	case methods[method]:
		c.fields[text] = at
	case (method == "Msg" || method == "Msgf") && (slices.Contains(names, "Warn") || slices.Contains(names, "Error")):
		c.urgent[text] = at
	}
}

func isNamed(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// implicit are the fields that zerolog adds itself.
var implicit = []string{"level", "time", "message", "error"}

var tableRow = regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+`(?:, )?)+) \\|")

// TestFields: docs/operations.md lists exactly the fields that are logged.
func TestFields(t *testing.T) {
	t.Parallel()
	found, docs := read(t), section(t, "## Logs")
	if len(found.fields) < 20 {
		t.Fatalf("found only the fields %v: is this how log calls look?", slices.Sorted(maps.Keys(found.fields)))
	}
	documented := map[string]bool{}
	_, table, _ := strings.Cut(docs, "| field |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, row := range tableRow.FindAllStringSubmatch(table, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			documented[strings.Trim(name, "`")] = true
		}
	}
	for _, name := range implicit {
		found.fields[name] = "zerolog"
	}
	for name, at := range found.fields {
		if !documented[name] {
			t.Errorf("%s logs the field %q, which docs/operations.md does not name under Logs", at, name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/operations.md names the field %q, which no log call has", name)
	}
}

// TestUrgent: docs/operations.md has each message above info.
func TestUrgent(t *testing.T) {
	t.Parallel()
	found, docs := read(t), section(t, "## Logs")
	if len(found.urgent) < 20 {
		t.Fatalf("found only %d messages", len(found.urgent))
	}
	for text, at := range found.urgent {
		for part := range strings.SplitSeq(text, "%s") {
			part, _, more := strings.Cut(part, " (") // text in brackets is detail
			if !strings.Contains(docs, strings.TrimSpace(part)) {
				t.Errorf("%s logs %q, which docs/operations.md does not have under Logs", at, text)
			}
			if more {
				break
			}
		}
	}
}

// section returns a section of docs/operations.md.
func section(t *testing.T, title string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, has := strings.Cut(string(text), "\n"+title+"\n")
	if !has {
		t.Fatalf("docs/operations.md has no section %q", title)
	}
	chapter, _, _ := strings.Cut(rest, "\n## ")
	return chapter
}
