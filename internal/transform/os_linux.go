package transform

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ownGroup starts a child in its own session and process group, so that it can be
// killed together with everything it started. It has no terminal, so none can stop
// or end it, and opening one is an error.
//
// The child also dies with this process: Linux sends Pdeathsig when the thread that
// started it ends. Go ends a thread early only if a locked goroutine returns; that
// would cost a second try.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// waitNoReap is WNOWAIT, which package syscall lacks.
const waitNoReap = 0x01000000

// adopts reports whether the kernel hands orphans to this process.
func adopts() bool {
	if os.Getpid() == 1 {
		return true
	}
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0) //nolint:gosec // the kernel fills it in
	return err == nil && subreaper != 0
}

// endedChild returns the PID of a child that has ended and is not reaped yet; 0 if
// there is none. It does not reap it.
func endedChild() int {
	const all, exited = 0, 4
	var info [128]byte // a siginfo_t
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, all, 0,
			uintptr(unsafe.Pointer(&info)), exited|waitNoReap|syscall.WNOHANG, 0, 0) //nolint:gosec // the kernel fills info in
		switch errno {
		case 0: // three ints, then a union, which is aligned as a pointer, begins with the process ID
			align := int(unsafe.Sizeof(uintptr(0)))
			return int(int32(binary.NativeEndian.Uint32(info[(12+align-1)/align*align:])))
		case syscall.EINTR:
		default:
			return 0
		}
	}
}

// selfPath names this program's executable, even after the file was replaced.
func selfPath() (string, error) { return "/proc/self/exe", nil }

// limitMemory makes the kernel end this process when it takes more than most bytes
// on top of what it has now. Only writable memory counts, because Go reserves far
// more addresses than it uses.
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
