package transform

import (
	"bytes"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The budget of a jq program: each object has jqMemory, or the memory= of the setting, which is between jqMemoryLeast
// and jqMemoryMost.
const (
	jqMemory      = 256 << 20
	jqMemoryLeast = 16 << 20
	jqMemoryMost  = 64 << 30

	// jqMemoryPerByte is the memory for each byte of a large object, if that is more than the budget: an object of
	// nothing but small numbers takes about 50 bytes per byte once it is decoded.
	jqMemoryPerByte = 64

	// jqStack is the stack of a program. A value nested about 100,000 deep needs more.
	jqStack = 64 << 20

	// jqGC is the garbage collector's target in percent. The heap is small, so the default of 100 would collect almost
	// all the time.
	jqGC = 200
)

// limit applies the budget to this process, which has been started for jq.
func (h jqHello) limit() error {
	debug.SetMaxStack(h.Stack)
	debug.SetGCPercent(jqGC)
	debug.SetMemoryLimit(int64(h.Memory - h.Memory/8)) // collect harder before the limit ends the process
	if err := limitMemory(h.Memory); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	return nil
}

// parseMemory reads the value of memory= in a setting.
func parseMemory(values []string) (int, error) {
	number, unit := strings.CutSuffix(values[0], "MiB")
	shift := 20
	if !unit {
		number, unit = strings.CutSuffix(values[0], "GiB")
		shift = 30
	}
	n, err := strconv.ParseUint(number, 10, 16)
	bytes := int64(n) << shift
	if err != nil || !unit || len(values) > 1 || bytes < jqMemoryLeast || bytes > jqMemoryMost || bytes > math.MaxInt {
		return 0, fmt.Errorf("memory %q is not an amount of memory; use %dMiB to %dGiB, for example memory=1GiB",
			strings.Join(values, ", "), jqMemoryLeast>>20, jqMemoryMost>>30)
	}
	return int(bytes), nil
}

// budget returns the memory in bytes that a program may use for object.
func (j *jqProcess) budget(object []byte) int {
	return max(j.hello.Memory, jqMemoryPerByte*len(object))
}

// headLog keeps the beginning of a process's standard error, which says why a Go program died.
type headLog struct {
	mu   sync.Mutex
	head []byte
}

func (l *headLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = append(l.head, p[:min(len(p), tailBytes-len(l.head))]...)
	return len(p), nil
}

func (l *headLog) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.ToValidUTF8(string(bytes.TrimSpace(l.head)), "\uFFFD")
}

// explainDeath returns the error of the object that a process was working on when it ended.
func explainDeath(fresh bool, state, stderr string, memory, stack int) error {
	switch {
	case !fresh: // another object may have caused it: try again in a process that has seen no other
		return &faultError{text: "the jq process ended (" + state + ")"}
	case containsAny(stderr, "out of memory", "allocate", "cannot map", "pthread_create failed", "new OS thread"):
		// A thread's stack is memory, too, and a busy program starts threads.
		return fmt.Errorf("jq: the program needs more than %d MiB of memory for this object, which is its budget; "+
			"raise it with jq?memory=1GiB:PROGRAM", memory>>20)
	case containsAny(stderr, "stack exceeds", "stack overflow"):
		return fmt.Errorf("jq: the program needs more than %d MiB of stack for this object, which is its budget: a value or a recursion is too deep", stack>>20)
	}
	text := "the jq process ended (" + state + ")"
	if stderr, _, _ = strings.Cut(stderr, "\n"); stderr != "" {
		text += ": " + stderr
	}
	if strings.Contains(state, "exit status 2") { // the Go runtime failed, as it can in many ways without memory
		text += fmt.Sprintf("; a likely cause is that the program needs more than its budget of %d MiB of memory for this object", memory>>20)
	}
	return &faultError{text: text}
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}
