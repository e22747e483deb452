package proc

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// Run runs a program to its end.
func Run(t *testing.T, settings []string, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, Path(program), args...)
	cmd.Env = environment(settings)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("run %s %s: %v", program, args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Users generates n users and returns the file.
func Users(t *testing.T, dir string, n int) string {
	t.Helper()
	path := filepath.Join(dir, "users.jsonl")
	if _, stderr, code := Run(t, nil, "chunkline", "generate", "users", "-n", fmt.Sprint(n), "-o", path); code != 0 {
		t.Fatalf("generate users: exit %d: %s", code, stderr)
	}
	return path
}

// Check runs the checker, which shares no code with the product, on source, output and
// dead letters. It fails the test unless every object is there exactly once. dead lists
// the ordinals of the dead letters, as in 3,57; "any" does not check them.
func Check(t *testing.T, source, output, letters, dead string) {
	t.Helper()
	args := []string{"-source", source, "-output", output, "-dead", letters, "-want-dead", dead}
	if stdout, stderr, code := Run(t, nil, "checker", args...); code != 0 {
		t.Errorf("checker: exit %d\n%s%s", code, stdout, stderr)
	}
}
