package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mutant is one way to break the product, with the tests that must fail.
type mutant struct {
	id       string
	what     string
	edits    []edit
	caughtBy []lane // each of them must fail
}

// edit replaces a text that is in the file exactly once.
type edit struct{ file, old, new string }

// lane is a run of some tests.
type lane struct {
	pkg   string
	tests string // -run
	flags []string
}

func (l lane) String() string {
	return strings.Join(append([]string{strings.TrimPrefix(l.pkg, "./"), l.tests}, l.flags...), " ")
}

// try runs the mutant's tests and returns those that failed.
func (m mutant) try(ctx context.Context) (caught []string, err error) {
	dir, err := os.MkdirTemp("", "chunkline-mutant-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := m.overlay(dir)
	if err != nil {
		return nil, err
	}
	// The programs that a test builds are broken too.
	env := append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	for _, l := range m.caughtBy {
		args := append([]string{"test", "-count=1", "-failfast", "-vet=off", "-ldflags=-s -w", "-timeout=15m", "-run", l.tests, l.pkg}, l.flags...)
		text, err := command(ctx, env, "go", args...)
		var exit *exec.ExitError
		switch {
		case err == nil:
		case !errors.As(err, &exit) || ctx.Err() != nil:
			return nil, fmt.Errorf("run %s: %w", l, err)
		case bytes.Contains(text, []byte("--- FAIL")) || bytes.Contains(text, []byte("\npanic: ")):
			caught = append(caught, l.String())
		default:
			return nil, fmt.Errorf("%s ended without a test that failed: %w\n%s", l, err, text)
		}
		if bytes.Contains(text, []byte("no tests to run")) {
			return nil, fmt.Errorf("%s: there is no such test", l)
		}
	}
	return caught, nil
}

func command(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	return cmd.CombinedOutput()
}

// overlay writes the broken files and the list of the files that they replace.
func (m mutant) overlay(dir string) (string, error) {
	broken := map[string]string{} // file → content
	for _, e := range m.edits {
		text, edited := broken[e.file]
		if !edited {
			original, err := os.ReadFile(e.file)
			if err != nil {
				return "", fmt.Errorf("break the product (run this in its top folder): %w", err)
			}
			text = string(original)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("%s holds this text %d times, want once:\n%s", e.file, n, e.old)
		}
		broken[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	replace := map[string]string{}
	for file, text := range broken {
		path, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}
