// Command systems checks that the programs compile for other systems:
//
//	go run ./test/systems linux/386 darwin/arm64
//
// It checks the types of all packages and of all that they import, including the standard library, as the compiler does
// before it generates code. That finds what is not defined for a system, and what overflows its words, in a small part
// of the time of a build. It does not read assembly, and links nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/tools/go/packages"
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
		if err := check(ctx, ".", system); err != nil {
			return fmt.Errorf("check %s: %w", system, err)
		}
	}
	return nil
}

// check checks the packages of the module in a folder, and all that they import.
func check(ctx context.Context, dir, system string) error {
	goos, goarch, _ := strings.Cut(system, "/")
	const source = packages.NeedImports | packages.NeedDeps | packages.NeedSyntax // so that it needs no compiled packages
	loaded, err := packages.Load(&packages.Config{
		Context: ctx, Dir: dir, Env: append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
		Mode: source | packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedTypes | packages.NeedTypesSizes,
	}, "./...")
	if err != nil {
		return err
	}
	n := 0
	var problems []error
	packages.Visit(loaded, nil, func(p *packages.Package) {
		n++
		for _, problem := range p.Errors {
			problems = append(problems, problem)
		}
	})
	fmt.Printf("%s: %d packages\n", system, n)
	return errors.Join(problems...)
}
