//go:build linux || darwin

package transform

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

// What a person can do about a program that does not keep the rules.
const (
	severalHint = "print one for each object: an array, which a second job unpacks with -m '.[]', or use a jq program (-m), which may have many outputs"
	bannerHint  = "does it print one when it starts? Only answers may go to standard output, all else to standard error"
	ttyHint     = "it has no terminal: give it what it asks for in arguments, variables or files"
)

// answerHint says why an answer may be no JSON value.
func (p *program) answerHint(answer []byte) string {
	switch text := strings.TrimSpace(string(answer)); {
	case text == "{" || text == "[":
		return "; does it print a value over several lines? It must be one line (jq -c, json.dumps without indent)"
	case p.child != nil && p.child.answers == 1:
		return "; it is the first line of the process: " + bannerHint
	}
	return ""
}

// endHint says why a process may have ended.
func endHint(state *os.ProcessState, words string) string {
	status, _ := state.Sys().(syscall.WaitStatus)
	switch {
	case strings.Contains(words, "/dev/tty"), strings.Contains(words, "not a tty"), strings.Contains(words, "not a terminal"):
		return "; " + ttyHint
	case status.Signaled() && (status.Signal() == syscall.SIGHUP || status.Signal() == syscall.SIGTTIN || status.Signal() == syscall.SIGTTOU):
		return "; " + ttyHint
	case status.Exited() && status.ExitStatus() == 127:
		return "; status 127 of a shell: a program in it was not found"
	case status.Exited() && status.ExitStatus() == 126:
		return "; status 126 of a shell: a program in it cannot be executed"
	}
	return ""
}

// startHint says why a program that is there cannot be started.
func startHint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return "; it is no program of this machine, or a script without #! in its first line: use sh FILE, python3 FILE"
	case errors.Is(err, syscall.ENOENT):
		return "; it is away, or the interpreter in its first line (#!) is, or that line ends in a carriage return"
	case errors.Is(err, syscall.EAGAIN):
		return "; there is no room for another process: raise the limit (ulimit -u, pids), or lower WORKERS"
	}
	return ""
}
