//go:build linux || darwin

package transform

import (
	"errors"
	"syscall"
	"unsafe"
)

// awaitExit waits until the child process pid has ended, and leaves it to be
// reaped. (The os package can only wait and reap in one.)
func awaitExit(pid int) {
	const (
		byPID  = 1
		exited = 4
	)
	var info [128]byte // more than a siginfo_t anywhere
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(pid),
			uintptr(unsafe.Pointer(&info)), exited|waitNoReap, 0, 0) //nolint:gosec // the kernel fills info in
		if errno != syscall.EINTR {
			return
		}
	}
}

func ignoreEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
