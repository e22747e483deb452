// Command systems checks that the programs compile for other systems:
//
//	go run ./test/systems linux/386 darwin/arm64
//
// It checks the types of all packages and of all that they import, including the standard library, as the compiler does
// before it generates code. That finds what is not defined for a system, and what overflows its words, in a small part of the
// time of a build. It does not read assembly, and links nothing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "systems:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, systems []string) error {
	if len(systems) == 0 {
		return errors.New("name systems, such as linux/386")
	}
	for _, system := range systems {
		n, err := check(ctx, system)
		if err != nil {
			return fmt.Errorf("check %s: %w", system, err)
		}
		fmt.Printf("%s: %d packages\n", system, n)
	}
	return nil
}

// source is a package as go list describes it.
type source struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	ImportMap  map[string]string // vendored packages of the standard library
	Module     *struct{ GoVersion string }
	Incomplete bool // a package or file is missing
	DepsErrors []struct{ Err string }
}

// check returns how many packages it has checked.
func check(ctx context.Context, system string) (int, error) {
	goos, goarch, _ := strings.Cut(system, "/")
	sizes := types.SizesFor("gc", goarch)
	if sizes == nil {
		return 0, errors.New("unknown architecture: name a system such as linux/386")
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap,Module,Incomplete,DepsErrors", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("list packages: %w", err)
	}
	done := map[string]*types.Package{"unsafe": types.Unsafe}
	for list := json.NewDecoder(strings.NewReader(string(out))); ; { // a package comes after those that it imports
		var s source
		err := list.Decode(&s)
		if errors.Is(err, io.EOF) {
			return len(done), nil
		}
		if err != nil {
			return 0, fmt.Errorf("read list of packages: %w", err)
		}
		if s.ImportPath == "unsafe" {
			continue
		}
		if done[s.ImportPath], err = s.check(sizes, done); err != nil {
			return 0, fmt.Errorf("%s: %w", s.ImportPath, err)
		}
	}
}

func (s source) check(sizes types.Sizes, done map[string]*types.Package) (*types.Package, error) {
	if s.Incomplete {
		return nil, fmt.Errorf("incomplete: %v", s.DepsErrors)
	}
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range s.GoFiles {
		file, err := parser.ParseFile(files, filepath.Join(s.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, file)
	}
	conf := types.Config{Sizes: sizes, Importer: importer{s.ImportMap, done}}
	if s.Module != nil {
		conf.GoVersion = "go" + s.Module.GoVersion
	}
	return conf.Check(s.ImportPath, files, parsed, nil)
}

// importer returns packages that have been checked.
type importer struct {
	renamed map[string]string
	done    map[string]*types.Package
}

func (i importer) Import(path string) (*types.Package, error) {
	if to, ok := i.renamed[path]; ok {
		path = to
	}
	if p := i.done[path]; p != nil {
		return p, nil
	}
	return nil, errors.New("not in the list of packages")
}
