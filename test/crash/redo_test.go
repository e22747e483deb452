//go:build long

package crash

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/test/proc"
)

// redoes lists where chunkline redo dies: while it opens the folder, removes the results, or closes
// the folder.
var redoes = []string{
	"sink.sync.log:1", "sink.checked:1", "sink.syncdir.folder:1", "sink.syncdir.parent:1",
	"sink.write.index.half:1", "sink.write.index:1", "sink.truncate.index:1", "sink.sync.index:1",
	"sink.write.log:1", "sink.write.log.half:1",
}

// TestRedo kills chunkline redo at every step on disk. Then all of the version's chunks are removed
// or none is. The same command again removes them, and the job, run again, completes.
func TestRedo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	versions := script{env: map[string][]string{
		"fetcher": {"VERSION_SHARES=v1=0.5"}, // so that v2 gets chunks even if v1 starts first
		"first":   {"VERSION=v1"},
		"second":  {"VERSION=v2"},
	}}
	var undone, done atomic.Int64 // redoes that died before they had an effect, and after
	each(t, some(redoes), func(p string) string { return p }, func(t *testing.T, place string) {
		j := newJob(t, w)
		j.run(versions)
		redo := []string{"redo", "-o", j.Out, "--version", "v2", "--json"}
		before := j.chunks()
		_, stderr, code := proc.Run(t, []string{"CHUNKLINE_FAILPOINT=" + place}, "chunkline", redo...)
		if code != -1 || !strings.Contains(stderr, "failpoint "+place+"\n") {
			t.Fatalf("exit code %d, not killed at %s: %s", code, place, stderr)
		}
		left := j.chunks()
		stdout, stderr, code := proc.Run(t, nil, "chunkline", redo...)
		var again struct{ Chunks int }
		if err := json.Unmarshal([]byte(stdout), &again); err != nil || code != 0 {
			t.Fatalf("the same command again: exit code %d, %v: %s", code, err, stderr)
		}
		rest := j.chunks()
		switch {
		case rest >= before || rest != left-again.Chunks:
			t.Errorf("of %d chunks %d were left, then %d: the second redo says it took out %d", before, left, rest, again.Chunks)
		case left != before && left != rest:
			t.Errorf("redo died half way: %d of %d chunks were left, %d after another one", left, before, rest)
		case left == before:
			undone.Add(1)
		default:
			done.Add(1)
		}
		j.run(versions)
	})
	if undone.Load() == 0 || done.Load() == 0 {
		t.Errorf("%d redoes died before they had an effect, %d after it: want both", undone.Load(), done.Load())
	}
}

// chunks counts the chunks that the folder holds.
func (j *job) chunks() int {
	j.T.Helper()
	folder, err := sink.Open(j.Out, "", sink.FolderOptions{ReadOnly: true})
	if err != nil {
		j.T.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	return int(folder.Summary().Chunks)
}
