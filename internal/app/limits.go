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
	"syscall"
)

// defaultMemory is the memory in bytes that a process plans with if it has no limit.
const defaultMemory = 2 << 30

// Memory returns how many bytes of memory this process may plan with: GOMEMLIMIT if it is set, else the limit of its
// container (its cgroup), else 2 GiB. A role uses a share of it.
var Memory = sync.OnceValue(func() int64 {
	if set := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && set < math.MaxInt64 {
		return max(set, 1)
	}
	if limit, limited := containerMemory("/"); limited {
		return limit
	}
	return defaultMemory
})

// Share returns n if it is set, else Memory divided by part.
func Share(n, part int64) int64 {
	if n > 0 {
		return n
	}
	return max(Memory()/part, 1<<20)
}

// CollectorPace is how many bytes more a process allocates before each garbage collection, for PaceCollector. Twice as
// many would save little more time, because the process would then spend it on getting memory from the system.
const CollectorPace = 8 << 20

var (
	untouched []byte //nolint:unused // counts as part of the heap, and takes no memory because no one writes to it
	paced     sync.Once
)

// PaceCollector makes the garbage collector of a process with a small heap run less often. Go collects when the heap
// has doubled. The heap of a role is often a few MiB of messages that live for milliseconds, so Go would collect all
// the time, and return memory to the system that the role needs again at once. Go has no setting for the smallest size
// of the heap, so PaceCollector adds bytes that nothing uses. GOGC applies as usual, and a memory limit counts these
// bytes, too.
func PaceCollector(bytes int) { paced.Do(func() { untouched = make([]byte, bytes) }) }

// LimitMemory makes the garbage collector work harder before this process reaches the memory limit of its container,
// unless GOMEMLIMIT is set. It is for a process that has the container to itself. An eighth of the limit is left for
// memory that Go does not manage.
func LimitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit, limited := containerMemory("/"); limited {
		debug.SetMemoryLimit(limit - limit/8)
	}
}

// containerMemory returns the memory limit in bytes of this process's cgroup, or of a cgroup that contains it. It looks
// for the files under root.
func containerMemory(root string) (limit int64, limited bool) {
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0, false // not Linux
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

// readLimit reads a file that holds a number or "max".
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

// ownDescriptors is how many files a process needs apart from its workers: for logs, source, sink, merge, NATS, HTTP,
// and a program that is being started.
const ownDescriptors = 32

// descriptors returns how many files and connections this process may have open; 0 if that is unknown. Go has already
// raised the soft limit.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}

// CheckDescriptors returns an error if this process may not open as many files as its workers need. Each worker needs
// as many as each says.
func CheckDescriptors(workers, each int) error {
	return checkDescriptors(descriptors(), workers, each)
}

func checkDescriptors(limit uint64, workers, each int) error {
	need := ownDescriptors + workers*each
	switch {
	case each == 0, limit == 0, limit >= uint64(need):
		return nil
	case limit >= uint64(ownDescriptors+each):
		return WrongSetting("WORKERS", "=%d: they need %d open files, but this process may have %d: use at most %d workers, or raise the limit (ulimit -n %d)",
			workers, need, limit, (int(limit)-ownDescriptors)/each, need)
	}
	return Usage("a worker needs %d open files, but this process may have %d: raise the limit (ulimit -n %d)", ownDescriptors+each, limit, need)
}
