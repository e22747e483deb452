package transform

import "syscall"

// ownGroup puts a child into a session, and so a process group, of its own. It
// can be killed with all it started. It has no terminal: it cannot be stopped
// or ended by one, and what wants one gets an error. When we are killed, the end of its input is all
// it learns.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}

// waitNoReap is WNOWAIT, which package syscall does not have.
const waitNoReap = 0x20
