package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/test/proc"
)

// TestLeftoverSaver: a saver of another folder answers for the job, too. The
// job waits, status and log name both; when the leftover is gone the job ends,
// and all of it is in the sink of the first. It goes on 10 s after the leftover
// was heard last.
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

// wantEmpty: the sink of a saver that has ended holds no results.
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

// TestLostVolume: the saver is started anew with an empty folder in the middle
// of the job. The fetcher does not begin anew beside what it knows to be saved,
// and says what has happened. That takes 10 s, in which the sink could come back.
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
			t.Errorf("the fetcher does not say %q: %s", words, fetcher.Tail())
		}
	}
	proc.End(t, second)
	wantEmpty(t, j.Out)
}
