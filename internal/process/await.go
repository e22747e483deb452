package process

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AwaitExit waits until the child process pid has ended, without reaping it. (The os package can only do both at once.)
func AwaitExit(pid int) {
	const byPID = 1
	var info [128]byte // more than a siginfo_t anywhere
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(pid),
			uintptr(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT, 0, 0) //nolint:gosec // the kernel fills info in
		if errno != syscall.EINTR {
			return
		}
	}
}
