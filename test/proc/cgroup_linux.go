package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Group is a cgroup that limits the memory of the processes started in it, as
// a container does. It is of version 1 or 2, whichever the machine has.
type Group struct {
	t     *testing.T
	dir   string
	event string // the file that counts the processes that the kernel killed
}

// Limit makes a group with a memory limit in bytes. It needs root. The end of the test removes the
// group.
func Limit(t *testing.T, bytes int64) *Group {
	t.Helper()
	parent, file, event := "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		parent, file, event = "/sys/fs/cgroup", "memory.max", "memory.events"
		if err := os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
			t.Fatalf("let cgroups limit memory: %v; run this test as root", err)
		}
	}
	dir, err := os.MkdirTemp(parent, "chunkline-test-") //nolint:usetesting // a cgroup cannot be made in a temporary folder
	if err != nil {
		t.Fatalf("make a cgroup: %v; run this test as root", err)
	}
	g := &Group{t: t, dir: dir, event: filepath.Join(dir, event)}
	t.Cleanup(func() { // a process is in its group for a moment after it was waited for
		Eventually(t, "removal of "+dir, func() bool { return os.Remove(dir) == nil })
	})
	if err := os.WriteFile(filepath.Join(dir, file), strconv.AppendInt(nil, bytes, 10), 0); err != nil {
		t.Fatalf("limit the memory of a cgroup: %v", err)
	}
	return g
}

// Prefix is the command that runs a process, and what it starts, in the group.
func (g *Group) Prefix() []string {
	return []string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs")}
}

// Killed returns how many processes of the group the kernel has killed because they exceeded the
// limit.
func (g *Group) Killed() int {
	g.t.Helper()
	text, err := os.ReadFile(g.event)
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if count, is := strings.CutPrefix(line, "oom_kill "); is {
			n, err := strconv.Atoi(strings.TrimSpace(count))
			if err != nil {
				g.t.Fatal(err)
			}
			return n
		}
	}
	g.t.Fatalf("%s has no oom_kill", g.event)
	return 0
}
