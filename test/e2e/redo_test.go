package e2e

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// TestRedo: the chunks of a bad version are put back to work under a fetcher that
// believes that all is done. It is fenced, the next one has them made anew, by
// another version, and the rest is left as it was.
func TestRedo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, url := proc.NATS(t, dir)
	j := newJob(t, url)
	source := proc.Users(t, j.dir, 3000)
	fetch := func(label string) *proc.Process { return j.start(label, "fetcher", "SOURCE="+source, "ON_DONE=stay") }
	mapper := func(version string) *proc.Process {
		return j.start("mapper-"+version, "mapper", "TRANSFORM=users?duration=20ms", "VERSION="+version, "WORKERS=1")
	}
	saver, fetcher := j.saver(), fetch("fetcher")
	good, bad := mapper("v1"), mapper("v2")
	fetcher.Await("job done")
	end := func(p *proc.Process) {
		t.Helper()
		p.Signal(syscall.SIGTERM)
		if code := p.Exit(); code != 0 {
			t.Errorf("exit code %d after SIGTERM, want 0: %s", code, p.Tail())
		}
	}
	end(bad)
	end(saver)
	stdout, stderr, code := proc.Run(t, nil, "chunkline", "redo", "-o", j.out, "--version", "v2", "--json")
	var redone struct{ Chunks, Objects int }
	if err := json.Unmarshal([]byte(stdout), &redone); err != nil || code != 0 || redone.Chunks < 1 || redone.Chunks > 29 {
		t.Fatalf("redo: exit %d, %s%s; want some of 30 chunks, both versions had some", code, stdout, stderr)
	}
	if _, _, code := proc.Run(t, nil, "chunkline", "verify", "-o", j.out); code == 0 {
		t.Error("verify finds nothing missing")
	}

	saver = j.saver()
	if code := fetcher.Exit(); code != 1 || !strings.Contains(fetcher.Tail(), "another fetcher has taken over") {
		t.Errorf("the fetcher of before ended with %d, want it fenced: %s", code, fetcher.Tail())
	}
	fetcher = fetch("fetcher-2")
	third := mapper("v3")
	fetcher.Await("job done")
	for _, p := range []*proc.Process{fetcher, good, third, saver} {
		end(p)
	}
	j.verify()
	if stdout, _, _ := proc.Run(t, nil, "chunkline", "redo", "-o", j.out, "--version", "v2"); !strings.Contains(stdout, "no chunk was made by") {
		t.Errorf("results of v2 are left: %s", stdout)
	}
}
