package failpoint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/failpoint"
)

// composer is the one file that puts names together, so that a step on disk
// is marked in one place. That it marks no other than Names holds, Hit checks;
// that it marks all of them, test/crash does.
const composer = "internal/sink/fs_failpoints.go"

// TestNames holds the list against the source: every name that is hit is on it,
// and every one on it is hit in one place, so that it says where.
func TestNames(t *testing.T) {
	t.Parallel()
	hit := map[string][]string{} // name → where
	root := filepath.Join("..", "..")
	for _, top := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return scan(t, root, path, hit)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, places := range hit {
		if len(places) > 1 {
			t.Errorf("%s is hit in %s, want one place", name, places)
		}
		if !slices.Contains(failpoint.Names, name) {
			t.Errorf("%s: %s is not in the list of names", places[0], name)
		}
	}
	for _, name := range failpoint.Names {
		if _, literal := hit[name]; !literal && !strings.HasPrefix(name, "sink.") {
			t.Errorf("%s is hit nowhere", name)
		}
	}
	if sorted := slices.Sorted(slices.Values(failpoint.Names)); len(slices.Compact(sorted)) != len(failpoint.Names) {
		t.Error("a name is in the list twice")
	}
}

// scan notes the names that a file hits.
func scan(t *testing.T, root, path string, hit map[string][]string) error {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, is := n.(*ast.CallExpr)
		if !is || len(call.Args) != 1 {
			return true
		}
		target, is := call.Fun.(*ast.SelectorExpr)
		if !is || target.Sel.Name != "Hit" {
			return true
		}
		where := files.Position(call.Pos()).String()
		if of, is := target.X.(*ast.Ident); !is || of.Name != "failpoint" {
			return true
		}
		literal, is := call.Args[0].(*ast.BasicLit)
		if !is {
			if short, err := filepath.Rel(root, path); err != nil || filepath.ToSlash(short) != composer {
				t.Errorf("%s: the name is not a literal", where)
			}
			return true
		}
		name, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
		hit[name] = append(hit[name], where)
		return true
	})
	return nil
}
