//go:build endurance && linux

package endurance

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// limited is a job whose processes each run in a cgroup of their own, with the memory
// limit that deploy/ gives their containers.
type limited struct {
	*proc.Job

	groups map[string]*proc.Group // by label
}

func newLimited(t *testing.T, name string) *limited {
	t.Helper()
	j := &limited{Job: proc.NewJob(t, name), groups: map[string]*proc.Group{}}
	j.Prefix = func(label string) []string {
		role, _, _ := strings.Cut(label, "-")
		j.groups[label] = proc.Limit(t, shipped(t, role))
		return j.groups[label].Prefix()
	}
	return j
}

// shipped returns the memory limit, in bytes, of a role's container in the manifests;
// nats is nats-server.
func shipped(t *testing.T, role string) int64 {
	t.Helper()
	const manifests = "../../deploy/plain/base.yaml"
	text, err := os.ReadFile(manifests)
	if err != nil {
		t.Fatal(err)
	}
	image := "image: chunkline/" + role + ":"
	if role == "nats" {
		image = "image: nats:"
	}
	_, container, _ := strings.Cut(string(text), image)
	limit := regexp.MustCompile(`\slimits:\s+memory: (\d+)(Mi|Gi)\s`).FindStringSubmatch(container)
	if limit == nil {
		t.Fatalf("%s has no memory limit for %s", manifests, role)
	}
	n, err := strconv.ParseInt(limit[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << map[string]int{"Mi": 20, "Gi": 30}[limit[2]]
}

// objects writes a source of n objects: each has its number, and is filled with x's to size bytes.
func (j *limited) objects(n, size int) {
	j.T.Helper()
	var lines strings.Builder
	padding := strings.Repeat("x", size)
	j.Source, j.Objects = filepath.Join(j.Dir, "source.jsonl"), n
	file, err := os.Create(j.Source)
	if err != nil {
		j.T.Fatal(err)
	}
	for i := range n {
		head := fmt.Sprintf(`{"i":%d,"x":"`, i)
		fmt.Fprintf(&lines, "%s%s\"}\n", head, padding[:size-len(head)-len("\"}\n")])
		if lines.Len() > 1<<20 || i == n-1 {
			if _, err := file.WriteString(lines.String()); err != nil {
				j.T.Fatal(err)
			}
			lines.Reset()
		}
	}
	if err := file.Close(); err != nil {
		j.T.Fatal(err)
	}
}

// finish waits for the end of the job and ends the other processes. None of them
// may have been killed, or have exited before.
func (j *limited) finish(fetcher *proc.Process, others ...*proc.Process) {
	j.T.Helper()
	if code := fetcher.Exit(); code != 0 {
		j.T.Errorf("the fetcher ended with %d, want 0", code)
	}
	proc.End(j.T, others...)
	for label, g := range j.groups {
		if n := g.Killed(); n != 0 {
			j.T.Errorf("%s: the kernel killed %d processes for want of memory, want none", label, n)
		}
	}
	most := map[string]int64{} // KiB by role
	for _, p := range append(others, fetcher) {
		role, _, _ := strings.Cut(p.Label, "-")
		if usage, ok := p.State().SysUsage().(*syscall.Rusage); ok {
			most[role] = max(most[role], usage.Maxrss)
		}
	}
	for _, role := range slices.Sorted(maps.Keys(most)) {
		fmt.Printf("%s: at most %d MiB resident, of %d\n", role, most[role]>>10, shipped(j.T, role)>>20)
	}
	stdout, stderr, code := proc.Run(j.T, nil, "chunkline", "verify", "-o", j.Out)
	if code != 0 {
		j.T.Errorf("verify: exit %d\n%s%s", code, stdout, stderr)
	}
}
