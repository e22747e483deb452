package transform

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const fakeName = "fake-program"

// fakeSpec is the exec spec of the fake program.
func fakeSpec(args ...string) string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(append([]string{self, fakeName}, args...))
	if err != nil {
		panic(err)
	}
	return "exec:" + string(text)
}

// A wish is an object that says what the fake program does with it.
type wish struct {
	ID   int    `json:"id"`
	Do   string `json:"do,omitempty"`
	Mark string `json:"mark,omitempty"` // a file: the wish is obeyed only if it is not there yet
	Addr string `json:"addr,omitempty"` // a listener that learns of the end of the process
	Size int    `json:"size,omitempty"`
}

func (w wish) String() string {
	text, err := json.Marshal(w)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func wishes(all ...wish) []byte {
	var lines []string
	for _, w := range all {
		lines = append(lines, w.String())
	}
	return body(lines...)
}

// fakeProgram reads wishes and answers {"id":…}, or what the wish says.
func fakeProgram(args []string) {
	if len(args) > 1 && args[0] == "hold" {
		hold(args[1])
		hang()
	}
	defer atEnd(args)
	late := "" // comes with the next answer, in one write, so that no pause of the machine is between them
	for _, arg := range args {
		if text, ok := strings.CutPrefix(arg, "say="); ok {
			late = text + "\n"
		}
	}
	for in := bufio.NewReader(os.Stdin); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var w wish
		if err := json.Unmarshal(line, &w); err != nil {
			fmt.Fprintln(os.Stdout, "!cannot read the wish:", err)
			continue
		}
		if w.Mark != "" {
			f, err := os.OpenFile(w.Mark, os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				w.Do = ""
			} else {
				f.Close()
			}
		}
		answer := late + obey(w)
		late = ""
		os.Stdout.WriteString(answer)
		switch w.Do {
		case "exit", "partial":
			return
		case "late":
			late = fmt.Sprintf("{\"id\":%d,\"late\":true}\n", w.ID)
		}
	}
}

// atEnd does what the program does when its input has ended: with end=ADDR it
// waits for leave, then it makes the file of mark=.
func atEnd(args []string) {
	for _, arg := range args {
		if addr, ok := strings.CutPrefix(arg, "end="); ok {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				panic(err)
			}
			_, _ = io.Copy(io.Discard, conn)
		}
		if mark, ok := strings.CutPrefix(arg, "mark="); ok {
			if err := os.WriteFile(mark, nil, 0o600); err != nil {
				panic(err)
			}
		}
	}
}

// obey returns what is printed for w.
func obey(w wish) string {
	plain := fmt.Sprintf("{\"id\":%d}\n", w.ID)
	switch w.Do {
	case "crash":
		fmt.Fprintln(os.Stderr, "panic: bad object", w.ID)
		os.Exit(3) //nolint:forbidigo // this is another program
	case "hang":
		if w.Addr != "" {
			hold(w.Addr)
		}
		hang()
	case "close":
		os.Stdout.Close()
		hang()
	case "garbage":
		return "{\"id\":\n"
	case "latin1":
		return "\"\xe9\"\n"
	case "two":
		return plain + plain
	case "flush": // two lines, flushed one by one
		os.Stdout.WriteString(plain)
	case "none":
		return ""
	case "empty":
		return "\n"
	case "crlf":
		return strings.TrimSpace(plain) + "\r\n"
	case "retry":
		return "!retry 0s later, please\n"
	case "error":
		return "! no such user \n"
	case "partial":
		return strings.TrimSpace(plain)
	case "noise":
		for i := range w.Size {
			fmt.Fprintf(os.Stderr, "noise %d\n", i)
		}
	case "huge":
		return `"` + strings.Repeat("x", w.Size) + "\"\n"
	case "env":
		text, err := json.Marshal(os.Environ())
		if err != nil {
			panic(err)
		}
		return string(text) + "\n"
	case "sid":
		session, err := unix.Getsid(0)
		if err != nil {
			panic(err)
		}
		return fmt.Sprintf("%t\n", session == os.Getpid())
	case "family":
		hold(w.Addr)
		startHolder(w.Addr)
	}
	return plain
}

// hang never returns.
func hang() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR1)
	<-never
}

// hold connects to addr and keeps the connection: when the process dies, the listener
// reads the end.
func hold(addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		panic(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, conn)
		os.Exit(1) //nolint:forbidigo // this is another program, and the test has ended
	}()
}

// startHolder starts a grandchild that holds our output open, as in
// sh -c 'sleep 1000 &'.
func startHolder(addr string) {
	cmd := exec.Command(os.Args[0], fakeName, "hold", addr)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}
