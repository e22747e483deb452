package process

import (
	"encoding/binary"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OwnGroup starts a child in its own session and process group, so that it can be killed together with everything it
// started. It has no terminal, so none can stop or end it, and opening one is an error.
//
// The child also dies with this process: Linux sends Pdeathsig when the thread that started it ends. Go ends a thread
// early only if a locked goroutine returns.
func OwnGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// adopts reports whether the kernel hands orphans to this process.
func adopts() bool {
	if os.Getpid() == 1 {
		return true
	}
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0) //nolint:gosec // the kernel fills it in
	return err == nil && subreaper != 0
}

// endedChild returns the PID of a child that has ended and is not reaped yet; 0 if there is none. It does not reap it.
func endedChild() int {
	const all = 0
	var info [128]byte // a siginfo_t
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, all, 0,
			uintptr(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, 0, 0) //nolint:gosec // the kernel fills info in
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
