package process

import "syscall"

// OwnGroup starts a child in its own session and process group, so that it can be killed together with everything it
// started. It has no terminal, so none can stop or end it, and opening one is an error. If this process is killed, the
// child only sees its input end.
func OwnGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}

// adopts returns false: macOS has neither containers nor subreapers.
func adopts() bool { return false }

func endedChild() int { return 0 }
