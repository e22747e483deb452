package app

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"testing"
)

// TestContainerMemory: the lowest limit of the groups that a process is in counts.
func TestContainerMemory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		groups string
		files  map[string]string
		want   int64 // 0: no limit
	}{
		"container":           {"0::/\n", map[string]string{"memory.max": "268435456\n"}, 256 << 20},
		"no limit":            {"0::/\n", map[string]string{"memory.max": "max\n"}, 0},
		"no files":            {"0::/\n", nil, 0},
		"pod around it":       {"0::/pod/box\n", map[string]string{"pod/box/memory.max": "max", "pod/memory.max": "1000"}, 1000},
		"lowest counts":       {"0::/pod/box\n", map[string]string{"pod/box/memory.max": "500", "pod/memory.max": "1000"}, 500},
		"version 1":           {"5:cpu,cpuacct:/x\n4:memory:/x\n", map[string]string{"memory/x/memory.limit_in_bytes": "77"}, 77},
		"version 1, no limit": {"4:memory:/\n", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712"}, 0},
		"damaged":             {"0::/\n", map[string]string{"memory.max": "many"}, 0},
		"no linux":            {"", nil, 0},
	} {
		root := t.TempDir()
		write := func(path, text string) {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c.groups != "" {
			write("proc/self/cgroup", c.groups)
		}
		for path, text := range c.files {
			write("sys/fs/cgroup/"+path, text)
		}
		limit, limited := containerMemory(root)
		if limited != (c.want > 0) || limited && limit != c.want {
			t.Errorf("%s: limit %d, %t; want %d", name, limit, limited, c.want)
		}
	}
}

// TestShare: what is set counts, else a part of the memory.
func TestShare(t *testing.T) {
	t.Parallel()
	if got := Share(5, 4); got != 5 {
		t.Errorf("share of a setting of 5 is %d", got)
	}
	if got, want := Share(0, 4), max(Memory()/4, 1<<20); got != want {
		t.Errorf("share is %d, want %d", got, want)
	}
}

// TestCollectorPace: a process with a small heap collects garbage after 8 MiB or more.
func TestCollectorPace(t *testing.T) {
	PaceCollector(CollectorPace)
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if room := goal[0].Value.Uint64() - live[0].Value.Uint64(); room < CollectorPace {
		t.Errorf("the next collection is after %d bytes, want %d or more", room, CollectorPace)
	}
}
