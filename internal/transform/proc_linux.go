package transform

import "syscall"

// ownGroup puts a child into a session, and so a process group, of its own. It
// can be killed with all it started. It has no terminal: it cannot be stopped
// or ended by one, and what wants one gets an error. It also dies with us: Linux sends Pdeathsig when
// the thread that started it ends. A thread of ours that ended earlier, which
// Go does only when a locked goroutine returns, would cost a second try.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// waitNoReap is WNOWAIT, which package syscall does not have.
const waitNoReap = 0x01000000
