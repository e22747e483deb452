package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// TestRedo: redo requeues the chunks of a bad version while the fetcher of the finished
// job still runs. That fetcher is fenced, the next one has another version map them
// again, and the other chunks stay as they were.
func TestRedo(t *testing.T) {
	t.Parallel()
	j := newJob(t, 3000)
	mapper := func(version string) *proc.Process {
		return j.Mapper("mapper-"+version, "users?duration=20ms", "VERSION="+version, "WORKERS=1")
	}
	saver, good, bad := j.Saver(), mapper("v1"), mapper("v2")
	fetcher := j.Fetcher("ON_DONE=stay", "VERSION_SHARES=v1=0.5,v2=0.5") // so that both have chunks, whichever asks first
	fetcher.Await("job done")
	proc.End(t, bad, saver)
	stdout, stderr, code := proc.Run(t, nil, "chunkline", "redo", "-o", j.Out, "--version", "v2", "--json")
	var redone struct{ Chunks, Objects int }
	if err := json.Unmarshal([]byte(stdout), &redone); err != nil || code != 0 || redone.Chunks < 1 || redone.Chunks > 29 {
		t.Fatalf("redo: exit %d, %s%s; want some of 30 chunks, both versions had some", code, stdout, stderr)
	}
	if _, _, code := proc.Run(t, nil, "chunkline", "verify", "-o", j.Out); code == 0 {
		t.Error("verify finds nothing missing")
	}

	saver = j.Saver()
	if code := fetcher.Exit(); code != 1 || !strings.Contains(fetcher.Tail(), "another fetcher has taken over") {
		t.Errorf("the fetcher of before ended with %d, want it fenced: %s", code, fetcher.Tail())
	}
	fetcher = j.NextFetcher("fetcher-2", "ON_DONE=stay")
	third := mapper("v3")
	fetcher.Await("job done")
	proc.End(t, fetcher, good, third, saver)
	j.Verify("")
	if stdout, _, _ := proc.Run(t, nil, "chunkline", "redo", "-o", j.Out, "--version", "v2"); !strings.Contains(stdout, `no chunk of version "v2" is left: an earlier redo removed them`) {
		t.Errorf("results of v2 are left: %s", stdout)
	}
}
