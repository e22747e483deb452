package transform

import "syscall"

// ownGroup puts a child into a process group of its own, so that it can be
// killed with all it started. When we are killed, the end of its input is all
// it learns.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// waitNoReap is WNOWAIT, which package syscall does not have.
const waitNoReap = 0x20
