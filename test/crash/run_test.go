//go:build long

package crash

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/test/proc"
)

// TestRun kills chunkline run, all roles in one process, at every failpoint that an undisturbed job
// reaches. The same command again completes the job.
func TestRun(t *testing.T) {
	t.Parallel()
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

// retries lists where chunkline dead retry dies: while it opens the folder, replaces the first or
// second chunk's result, or merges the output.
var retries = []string{
	"sink.sync.log:1", "sink.checked:1", "sink.write.log.half:1", "sink.write.log:1",
	"sink.write.log.half:2", "sink.write.log:2", "sink.sync.log:2",
	"sink.rename.output:1", "sink.sync.log:3", "sink.create.output:1", "sink.write.output.half:1", "sink.write.output:1", "sink.sync.output:1",
}

// TestDeadRetry kills chunkline dead retry. The same command again maps the remaining dead letters,
// the job's own command writes the output, and no object is in it twice.
func TestDeadRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	each(t, some(retries), func(p string) string { return p }, func(t *testing.T, place string) {
		output := filepath.Join(t.TempDir(), "output.jsonl")
		run := []string{"run", "-i", w.source, "-o", output, "--transform", "users", "--chunk-size", "15", "-j", "4"}
		retry := []string{"dead", "retry", "-o", output, "--transform", "identity"}
		if _, stderr, code := proc.Run(t, nil, "chunkline", run...); code != 4 {
			t.Fatalf("the job: exit code %d, want 4: %s", code, stderr)
		}
		before, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		_, stderr, code := proc.Run(t, []string{"CHUNKLINE_FAILPOINT=" + place}, "chunkline", retry...)
		if code != -1 || !strings.Contains(stderr, "failpoint "+place+"\n") {
			t.Fatalf("exit code %d, not killed at %s: %s", code, place, stderr)
		}
		for _, command := range [][]string{retry, run} {
			if _, stderr, code := proc.Run(t, nil, "chunkline", command...); code != 0 {
				t.Errorf("%s: exit code %d, want 0: %s", command[0], code, stderr)
			}
		}
		if stdout, stderr, code := proc.Run(t, nil, "chunkline", "verify", "-o", output); code != 0 {
			t.Errorf("verify: exit %d\n%s%s", code, stdout, stderr)
		}
		after, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		var kept strings.Builder // without the retried objects
		for line := range strings.Lines(string(after)) {
			if !strings.HasPrefix(line, `{"nobody":`) {
				kept.WriteString(line)
			}
		}
		if n := strings.Count(string(after), "\n"); n != objects || kept.String() != string(before) {
			t.Errorf("the output has %d lines, want %d, and those of before among them", n, objects)
		}
	})
}
