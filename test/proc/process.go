package proc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/loopback"
)

// Patience is how long a test waits for what must happen. It is far beyond
// what anything takes, and only ends tests that hang.
const Patience = 4 * time.Minute

// Spec says what process to start.
type Spec struct {
	Dir     string   // of the log
	Label   string   // the log is Label.log
	Program string   // one of those that Main built
	Prefix  []string // a command that runs the program, such as ip netns exec NAME
	Args    []string
	Env     []string // beside the test's own
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

// Start starts the process again after its end. The log goes on.
func (p *Process) Start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	argv := append(append(append([]string(nil), p.Prefix...), Path(p.Program)), p.Args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(append(os.Environ(), p.Env...), "NO_COLOR=1")
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

// Kill ends the process with SIGKILL and waits until it is gone. A stopped
// process dies of it too.
func (p *Process) Kill() { p.Signal(syscall.SIGKILL); p.Wait() }

// Signal sends a signal; a process that has ended by itself gets none.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s)
}

// Stop stops the process with SIGSTOP and waits until it stands still: on a
// busy machine its threads run on for a moment. SIGCONT lets it go on.
func (p *Process) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(p.t.Context(), Patience)
	defer cancel()
	Eventually(ctx, p.t, p.Label+" to stop", func() bool {
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

// Code is the exit code of a process that has ended; -1 if a signal ended it.
func (p *Process) Code() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.ProcessState.ExitCode()
}

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

// Tail is the end of what the process and its predecessors printed.
func (p *Process) Tail() string {
	const most = 4000
	text := p.Log()
	return text[max(0, len(text)-most):]
}

// Log is all that the process and its predecessors printed.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Await waits until the process has logged text.
func (p *Process) Await(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), Patience)
	defer cancel()
	Eventually(ctx, p.t, "log of "+p.log+" with "+text, func() bool { return strings.Contains(p.Log(), text) })
}

// Eventually polls until done, or fails the test when ctx ends.
func Eventually(ctx context.Context, t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// NATS starts a nats-server on loopback and returns its URL.
func NATS(t *testing.T, dir string, args ...string) (*Process, string) {
	t.Helper()
	host, port, _ := strings.Cut(loopback.Address(), ":")
	p := Start(t, Spec{Dir: dir, Label: "nats", Program: "nats-server", Args: append([]string{"-a", host, "-p", port}, args...)})
	return p, fmt.Sprintf("nats://%s:%s", host, port)
}

// Run runs a program to its end.
func Run(t *testing.T, env []string, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, Path(program), args...)
	cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("run %s %s: %v", program, args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Users generates n users and returns the file.
func Users(t *testing.T, dir string, n int) string {
	t.Helper()
	path := filepath.Join(dir, "users.jsonl")
	if _, stderr, code := Run(t, nil, "chunkline", "generate", "users", "-n", fmt.Sprint(n), "-o", path); code != 0 {
		t.Fatalf("generate users: exit %d: %s", code, stderr)
	}
	return path
}

// Check runs the checker, which shares no code with what it checks, over a
// finished folder sink, and fails the test unless every object is there once.
// More flags of the checker may follow.
func Check(t *testing.T, source, folder string, flags ...string) {
	t.Helper()
	args := append([]string{
		"-source", source, "-output", filepath.Join(folder, "output.jsonl"), "-dead", filepath.Join(folder, "dead.jsonl"),
	}, flags...)
	if stdout, stderr, code := Run(t, nil, "checker", args...); code != 0 {
		t.Errorf("checker: exit %d\n%s%s", code, stdout, stderr)
	}
}
