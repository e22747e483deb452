package app

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// usualMemory is what a process plans with where nothing limits it, in bytes.
const usualMemory = 2 << 30

// Memory is how many bytes of memory this process may plan with: GOMEMLIMIT if
// it is set, else the limit of its container (its cgroup), else 2 GiB. A role
// holds a share of it.
var Memory = sync.OnceValue(func() int64 {
	if set := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && set < math.MaxInt64 {
		return max(set, 1)
	}
	if limit, limited := containerMemory("/"); limited {
		return limit
	}
	return usualMemory
})

// Share is n bytes if somebody has set that, else this part of Memory.
func Share(n, part int64) int64 {
	if n > 0 {
		return n
	}
	return max(Memory()/part, 1<<20)
}

// LimitMemory makes the garbage collector work harder before this process
// reaches the memory limit of its container, unless GOMEMLIMIT says something
// else. It is for a process that has the container to itself: a part of the
// limit is left for what is not Go's.
func LimitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit, limited := containerMemory("/"); limited {
		debug.SetMemoryLimit(limit - limit/8)
	}
}

// containerMemory is the memory limit of this process's cgroup, or of one that
// it is in, in bytes. The files are looked for under root.
func containerMemory(root string) (limit int64, limited bool) {
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0, false // no Linux
	}
	limit = math.MaxInt64
	for line := range bytes.Lines(groups) {
		_, rest, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		folder, file := "sys/fs/cgroup", "memory.max"
		if controllers != "" {
			if !strings.Contains(","+controllers+",", ",memory,") {
				continue
			}
			folder, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		// A container sees its own group as the root, whatever its path says.
		for {
			if n, ok := readLimit(filepath.Join(root, folder, path, file)); ok {
				limit = min(limit, n)
			}
			if path == "" || path == "/" || path == "." {
				break
			}
			path = filepath.Dir(path)
		}
	}
	const none = 1 << 60 // version 1 of cgroups writes a huge number for no limit
	return limit, limit < none
}

// readLimit reads a file that holds a number, or max.
func readLimit(name string) (int64, bool) {
	f, err := os.Open(name)
	if err != nil {
		return 0, false
	}
	defer f.Close() // it was only read
	line, _ := bufio.NewReader(f).ReadString('\n')
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return n, err == nil && n > 0
}
