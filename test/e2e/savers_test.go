package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/test/proc"
)

// TestLeftoverSaver: a second saver, with another folder, answers for the job, too. The
// job pauses, and status and log name both savers. Once the second is gone the job
// continues, 10 s after its last message, and the first sink has every object.
func TestLeftoverSaver(t *testing.T) {
	t.Parallel()
	j := newJob(t, 10_000)
	saver, fetcher := j.Saver(), j.Fetcher(proc.HTTP(), "ON_DONE=exit", "RATE=100") // so that it is not done before
	mapper := j.Mapper("mapper", "users", "WORKERS=1")
	fetcher.AwaitStatus("some chunks saved", func(s report.Status) bool { return s.Chunks.Saved >= 5 })
	other := filepath.Join(j.Dir, "leftover")
	leftover := j.Start("leftover", "saver", "SINK="+other)
	names := []string{"two savers answer for the job", j.Out, other}
	s := fetcher.AwaitStatus("the two savers to be named", func(s report.Status) bool { return s.Bottleneck != nil && s.Bottleneck.Cause == report.CauseSavers })
	for _, name := range names {
		if !strings.Contains(s.Bottleneck.Text, name) {
			t.Errorf("status says %q, want %q in it", s.Bottleneck.Text, name)
		}
		fetcher.Await(name)
	}
	proc.End(t, leftover)
	j.Control("rate", "0")
	if code := fetcher.Exit(); code != 0 {
		t.Errorf("the fetcher ended with %d, want 0: %s", code, fetcher.Tail())
	}
	proc.End(t, mapper, saver)
	j.Verify("")
	wantEmpty(t, other)
}

// wantEmpty checks that the sink of a saver that has ended holds no results.
func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	folder, err := sink.OpenFolder(dir, "", sink.FolderOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if sum := folder.Summary(); sum.Chunks > 0 {
		t.Errorf("the sink %s holds %+v, want nothing", dir, sum)
	}
}

// TestLostVolume: the saver restarts with an empty folder in the middle of the job. The
// fetcher knows of saved chunks, so it does not start over, but exits and says why, after
// 10 s in which the old sink could return.
func TestLostVolume(t *testing.T) {
	t.Parallel()
	j := newJob(t, 20_000)
	saver, fetcher := j.Saver(), j.Fetcher(proc.HTTP(), "ON_DONE=exit", "RATE=200") // so that it is not done before
	j.Mapper("mapper", "users", "WORKERS=1")
	fetcher.AwaitStatus("some chunks saved", func(s report.Status) bool { return s.Chunks.Saved >= 5 })
	saver.Kill()
	lost := j.Out
	j.Out = filepath.Join(j.Dir, "empty")
	second := j.Start("saver-2", "saver", "SINK="+j.Out)
	if code := fetcher.Exit(); code != 1 {
		t.Errorf("the fetcher ended with %d, want 1", code)
	}
	for _, words := range []string{j.Out + " is empty, but the job has saved ", lost + ": was its volume lost?"} {
		if !strings.Contains(fetcher.Tail(), words) {
			t.Errorf("the fetcher did not log %q: %s", words, fetcher.Tail())
		}
	}
	proc.End(t, second)
	wantEmpty(t, j.Out)
}
