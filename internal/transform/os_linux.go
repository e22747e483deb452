package transform

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// selfPath names this program's executable, even after the file was replaced.
func selfPath() (string, error) { return "/proc/self/exe", nil }

// limitMemory makes the kernel end this process when it takes more than most bytes on top of what it has now. Only
// writable memory counts, because Go reserves far more addresses than it uses.
func limitMemory(most int) error {
	const dataField = 5 // index of the pages of data and stack
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	fields := bytes.Fields(text)
	if len(fields) <= dataField {
		return fmt.Errorf("/proc/self/statm has %d fields", len(fields))
	}
	pages, err := strconv.ParseUint(string(fields[dataField]), 10, 64)
	if err != nil {
		return fmt.Errorf("read /proc/self/statm: %w", err)
	}
	limit := pages*uint64(os.Getpagesize()) + uint64(most)*memoryFactor
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: limit, Max: limit})
}
