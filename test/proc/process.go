package proc

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a test waits for an event that must happen. It is far longer than
// any event takes, so it only ends tests that hang.
const Patience = 4 * time.Minute

// Spec describes a process to start.
type Spec struct {
	Dir     string   // where the process works, and its log lies
	Label   string   // the log is Label.log
	Program string   // one of those that Main built, or an absolute path
	Prefix  []string // a command that runs the program, such as ip netns exec NAME
	Args    []string
	Env     []string // its settings; environment says what comes from outside
}

// Process is one program that can be killed and started again.
type Process struct {
	Spec

	t   *testing.T
	log string // file that takes stdout and stderr

	mu     sync.Mutex
	cmd    *exec.Cmd     // guarded by mu
	exited chan struct{} // guarded by mu; closed when cmd has been waited for
}

// Start starts a process; the end of the test kills it.
func Start(t *testing.T, s Spec) *Process {
	t.Helper()
	p := &Process{Spec: s, t: t, log: filepath.Join(s.Dir, s.Label+".log")}
	p.Start()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s: %s", s.Label, p.Tail())
		}
	})
	return p
}

// Start starts the process again after its end, and appends to its log.
func (p *Process) Start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	argv := slices.Concat(p.Prefix, []string{Path(p.Program)}, p.Args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = p.Dir, environment(p.Env)
	cmd.Stderr, cmd.Stdout = log, log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	exited := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
	go func() { // ends with the process, which the test's cleanup kills
		defer close(exited)
		_ = cmd.Wait()
	}()
}

// environment returns the environment of a process: its settings, and the variables of the
// test's own environment that no role reads. So an exported setting changes no test.
func environment(settings []string) []string {
	env := []string{"NO_COLOR=1"}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if name == "PATH" || name == "HOME" || name == "TMPDIR" || strings.HasPrefix(name, "GO") { // GOMAXPROCS, GORACE
			env = append(env, entry)
		}
	}
	return append(env, settings...)
}

// Kill ends the process with SIGKILL and waits until it has ended. It also ends a stopped
// process.
func (p *Process) Kill() { p.Signal(syscall.SIGKILL); p.Wait() }

// Signal sends a signal; a process that has ended by itself gets none.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s)
}

// Stop stops the process with SIGSTOP and waits until all its threads have stopped, which
// takes a moment on a busy machine. SIGCONT continues it.
func (p *Process) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGSTOP)
	Eventually(p.t, p.Label+" to stop", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID())) // none: not Linux, or gone
		for _, thread := range threads {
			stat, e := os.ReadFile(thread)
			_, state, _ := strings.Cut(string(stat), ") ") // behind the name
			if e == nil && !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return err == nil
	})
}

// PID is the process's number.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Exited is closed when the process has ended. A Start makes a new one.
func (p *Process) Exited() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exited
}

// Wait waits until the process has ended, for whatever reason.
func (p *Process) Wait() { <-p.Exited() }

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.Exited():
		return true
	default:
		return false
	}
}

// State returns the exit code and the resource usage of a process that has ended.
func (p *Process) State() *os.ProcessState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.ProcessState
}

// Code is the exit code of a process that has ended; -1 if a signal ended it.
func (p *Process) Code() int { return p.State().ExitCode() }

// Exit waits until the process ends by itself and returns its exit code.
func (p *Process) Exit() int {
	p.t.Helper()
	select {
	case <-p.Exited():
		return p.Code()
	case <-time.After(Patience):
		p.t.Fatalf("%s did not end", p.log)
		return 0
	}
}

// End ends processes with SIGTERM, one after the other, and wants each to exit
// with 0.
func End(t *testing.T, processes ...*Process) {
	t.Helper()
	for _, p := range processes {
		p.Signal(syscall.SIGTERM)
		if code := p.Exit(); code != 0 {
			t.Errorf("%s: exit code %d after SIGTERM, want 0: %s", p.Label, code, p.Tail())
		}
	}
}

// Tail returns the end of the output of the process and its predecessors.
func (p *Process) Tail() string {
	const most = 4000
	text := p.Log()
	return text[max(0, len(text)-most):]
}

// Log returns the whole output of the process and its predecessors.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Await waits until the process, or a predecessor, has logged text.
func (p *Process) Await(text string) {
	p.t.Helper()
	log, err := os.Open(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	var end []byte // of what has been read: text may be in two pieces
	Eventually(p.t, "log of "+p.log+" with "+text, func() bool {
		ended := p.Ended()
		more, err := io.ReadAll(log)
		if err != nil {
			p.t.Fatal(err)
		}
		end = append(end, more...)
		if bytes.Contains(end, []byte(text)) {
			return true
		}
		if ended {
			p.t.Fatalf("%s ended without logging %q", p.Label, text)
		}
		end = end[max(0, len(end)-len(text)):]
		return false
	})
}

// Eventually polls until done, or fails the test when that takes too long.
func Eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-patience.C:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}
