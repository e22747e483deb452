package transform

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Hints for programs that break the rules.
const (
	severalHint = "print one for each object: an array, which a second job unpacks with -m '.[]', or use a jq program (-m), which may have many outputs"
	bannerHint  = "does it print one when it starts? Standard output is for answers only; everything else goes to standard error"
	ttyHint     = "it has no terminal: pass its input as arguments, variables or files"
)

// answerHint suggests why an answer is not a JSON value.
func (p *program) answerHint(answer []byte) string {
	switch text := strings.TrimSpace(string(answer)); {
	case text == "{" || text == "[":
		return "; does it print a value over several lines? It must be one line (jq -c, json.dumps without indent)"
	case p.child != nil && p.child.answers == 1:
		return "; it is the first line of the process: " + bannerHint
	}
	return ""
}

// endHint suggests why a process ended.
func endHint(state *os.ProcessState, stderr string) string {
	status, _ := state.Sys().(syscall.WaitStatus)
	switch {
	case strings.Contains(stderr, "/dev/tty"), strings.Contains(stderr, "not a tty"), strings.Contains(stderr, "not a terminal"):
		return "; " + ttyHint
	case status.Signaled() && (status.Signal() == syscall.SIGHUP || status.Signal() == syscall.SIGTTIN || status.Signal() == syscall.SIGTTOU):
		return "; " + ttyHint
	case status.Exited() && status.ExitStatus() == 127:
		return "; a shell exits with 127 if it does not find a program"
	case status.Exited() && status.ExitStatus() == 126:
		return "; a shell exits with 126 if it cannot execute a program"
	}
	return ""
}

// startHint suggests why a program that exists cannot be started.
func startHint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return "; it is not a program for this machine, or it is a script without #! in its first line: use sh FILE, python3 FILE"
	case errors.Is(err, syscall.ENOENT):
		return "; the program or the interpreter in its first line (#!) does not exist, or that line ends in a carriage return"
	case errors.Is(err, syscall.EAGAIN):
		return "; the limit on processes is reached: raise it (ulimit -u, pids), or lower WORKERS"
	}
	return ""
}

// firstPatience is how long to wait for the first answer of a program before warning. A program that does not flush
// never answers.
const firstPatience = 10 * time.Second

// cures are ways to make common programs flush every line.
var cures = []struct{ program, cure string }{
	{"python", "start Python with -u, or use print(…, flush=True)"},
	{"jq", "use jq --unbuffered -c"},
	{"mawk", "use mawk -W interactive"},
	{"gawk", "call fflush() after each print"},
	{"awk", "call fflush() after each print (mawk also needs -W interactive)"},
	{"sed", "use sed -u"},
	{"grep", "use grep --line-buffered"},
	{"perl", "set $| = 1"},
	{"ruby", "set $stdout.sync = true"},
}

// flushCure returns advice on making the program of a command flush every line. The program may be a word in a shell
// script.
func flushCure(argv []string) string {
	for _, word := range argv {
		for _, name := range strings.FieldsFunc(word, isBetweenWords) {
			name = strings.TrimRight(filepath.Base(name), "0123456789.")
			for _, c := range cures {
				if name == c.program {
					return c.cure
				}
			}
		}
	}
	return "make it flush after each line; stdbuf -oL PROGRAM does that to many"
}

func isBetweenWords(r rune) bool { return strings.ContainsRune(" \t\n\r|&;()'\"", r) }
