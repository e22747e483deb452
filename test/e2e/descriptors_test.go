package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// TestFewDescriptors: a process that may open 64 files does a job of a thousand
// chunks with as many workers as that allows, and merges the result. With more workers
// it is refused at the start and leaves no file behind.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := proc.Users(t, dir, 1000)
	run := func(out string, args ...string) (stdout, stderr string, code int) {
		t.Helper()
		limited := []string{"-c", `ulimit -n 64 && exec "$0" "$@"`, proc.Path("chunkline"), "run", "-i", source, "-o", out, "--chunk-size", "1"}
		return proc.Run(t, nil, "/bin/sh", append(limited, args...)...)
	}
	for name, c := range map[string]struct {
		args, more []string
		want       string
	}{
		"jq":   {[]string{"-m", ".uuid", "-j", "8"}, []string{"-m", ".uuid", "-j", "9"}, "--workers=9: they need 68 open files, but this process may have 64: use at most 8"},
		"exec": {[]string{"--exec", "cat", "-j", "4"}, []string{"--exec", "cat", "-j", "100"}, "--workers=100: they need 832 open files, but this process may have 64: use at most 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(dir, name+".jsonl")
			_, stderr, code := run(out, c.more...)
			checkError(t, stderr, code, 2, []string{c.want, "ulimit -n"})
			if left, err := filepath.Glob(out + "*"); err != nil || left != nil {
				t.Errorf("a run that was refused has left %q, %v", left, err)
			}
			if _, stderr, code := run(out, c.args...); code != 0 || strings.Contains(stderr, "too many open files") {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			if _, stderr, code := proc.Run(t, nil, "chunkline", "verify", "-o", out); code != 0 {
				t.Errorf("verify: exit code %d: %s", code, stderr)
			}
		})
	}
}
