package crash

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/test/proc"
)

// TestRun kills chunkline run, all roles in one process, at every failpoint
// that an undisturbed job comes to. The same command again ends the job.
func TestRun(t *testing.T) {
	w := newWorld(t)
	names := slices.DeleteFunc(slices.Clone(failpoint.Names), func(name string) bool {
		_, is := special[name]
		return is
	})
	each(t, some(names), func(name string) string { return name }, func(t *testing.T, name string) {
		output := filepath.Join(t.TempDir(), "output.jsonl")
		command := []string{"run", "-i", w.source, "-o", output, "--transform", "users", "--chunk-size", "15", "-j", "4"}
		_, stderr, code := proc.Run(t, []string{"CHUNKLINE_FAILPOINT=" + name + ":1"}, "chunkline", command...)
		if code != -1 || !strings.Contains(stderr, "failpoint "+name+":1\n") {
			t.Errorf("exit code %d, not killed at %s: %s", code, name, stderr)
		}
		if _, stderr, code = proc.Run(t, nil, "chunkline", command...); code != 4 {
			t.Errorf("the same command again: exit code %d, want 4, done with dead letters: %s", code, stderr)
		}
		dead := filepath.Join(filepath.Dir(output), "output.dead.jsonl")
		if stdout, stderr, code := proc.Run(t, nil, "checker", "-source", w.source, "-output", output, "-dead", dead, "-want-dead", w.dead); code != 0 {
			t.Errorf("checker: exit %d\n%s%s", code, stdout, stderr)
		}
		if stdout, stderr, code := proc.Run(t, nil, "chunkline", "verify", "-o", output); code != 0 {
			t.Errorf("verify: exit %d\n%s%s", code, stdout, stderr)
		}
	})
}
