//go:build long

package crash

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// deaths lists where a saver dies first: while it makes the folder, claims the job, or commits the
// first or second results. With fewer than three hits only the first three are tried.
var deaths = []string{
	"sink.sync.newlog:1", "sink.write.log.half:2", "sink.write.log:3",

	"sink.mkdir.folder:1", "sink.create.newlog:1", "sink.write.newlog.half:1", "sink.rename.log:1",
	"sink.write.log.half:1", "sink.write.log:1", "sink.sync.log:1",
	"sink.write.log:2", "sink.sync.log:2", "sink.write.log.half:3", "sink.sync.log:3",
}

// recoveries lists where the next saver dies while it opens the folder.
var recoveries = []string{
	"sink.create.newlog:1", "sink.truncate.newlog:1", "sink.write.newlog.half:1", "sink.write.newlog:1", "sink.sync.newlog:1", "sink.rename.log:1",
	"sink.checked:1", "sink.truncate.log:1", "sink.write.log.half:1", "sink.write.log:1", "sink.sync.log:1",
	"sink.syncdir.folder:1", "sink.syncdir.parent:1",
	"sink.write.index.half:1", "sink.write.index:1", "sink.truncate.index:1", "saver.serving:1",
}

// TestRecovery kills the saver in a commit, and its successor in the recovery.
func TestRecovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	firsts := deaths[:3]
	if full() {
		firsts = deaths
	}
	var pairs [][]string
	for _, first := range firsts {
		for _, second := range recoveries {
			pairs = append(pairs, []string{first, second})
		}
	}
	within := make([]bool, len(pairs)) // died before it served again
	each(t, pairs, func(p []string) string { return strings.Join(p, ",") }, func(t *testing.T, p []string) {
		j := newJob(t, w)
		died := j.run(script{lives: map[string][]string{"saver": p}})["saver"]
		if len(died) == 0 || died[0] != p[0] {
			t.Errorf("the saver died at %s, not at %s first", died, p[0])
		}
		i := slices.IndexFunc(pairs, func(q []string) bool { return slices.Equal(p, q) })
		within[i] = slices.Equal(died, p) && diedRecovering(j.members["saver"].Log(), p)
	})
	reached := map[string]int{}
	for i, p := range pairs {
		if within[i] {
			reached[p[1]]++
		}
	}
	for _, name := range recoveries {
		t.Logf("%-24s died in %2d of %d recoveries", name, reached[name], len(firsts))
		if reached[name] == 0 {
			t.Errorf("no recovery died at %s", name)
		}
	}
}

// diedRecovering reports whether the saver did not serve between its two deaths, except for the log
// line at saver.serving.
func diedRecovering(log string, p []string) bool {
	_, after, _ := strings.Cut(log, "failpoint "+p[0]+"\n")
	between, _, _ := strings.Cut(after, "failpoint "+p[1]+"\n")
	return p[1] == "saver.serving:1" || !strings.Contains(between, ready("saver"))
}

// TestFinishedJob runs a finished job again after its output was removed. It kills the saver or the
// fetcher while they write the output and replace the dead letters.
func TestFinishedJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	places := []string{
		"sink.checked:1", "sink.write.log.half:1", "sink.write.log:1", "sink.sync.log:1",
		"sink.create.output:1", "sink.write.output.half:1", "sink.write.output:1", "sink.sync.output:1", "sink.rename.output:1",
		"sink.syncdir.folder:2",
		"sink.create.deadfile:1", "sink.write.deadfile.half:1", "sink.write.deadfile:1", "sink.sync.deadfile:1", "sink.rename.deadfile:1",
		"sink.syncdir.folder:3", "sink.write.log.half:2", "sink.sync.log:2", "sink.write.log:3", "sink.sync.log:3",
		"saver.finish.beginning:1", "saver.finish.done:1",
		"fetcher.claimed:1", "fetcher.page.listed:1", "fetcher.finish.asking:1", "fetcher.finish.answered:1",
	}
	each(t, some(places), func(p string) string { return p }, func(t *testing.T, p string) {
		j := newJob(t, w)
		j.run(script{})
		if err := os.Remove(j.Output()); err != nil {
			t.Fatal(err)
		}
		process := victim(p)
		if died := j.run(script{lives: map[string][]string{process: {p}}}); fmt.Sprint(died[process]) != fmt.Sprint([]string{p}) {
			t.Errorf("%s died at %s, not at %s", process, died[process], p)
		}
	})
}
