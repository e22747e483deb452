package source

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/chunkline/chunkline/internal/process"
)

// A command is a program whose standard output is the source.
type command struct {
	process.Command

	stderr io.Writer // gets its standard error; nil means os.Stderr
}

func (c *command) restart() restart { return beginsAnew }

// stderrDelay bounds how long standard error is read after the program has ended, because a process that the program
// left behind may hold it open.
const stderrDelay = time.Second

// begin starts the program in a process group of its own, with empty standard input and without chunkline's secrets.
func (c *command) begin(json.RawMessage) (upstream, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer func() { _ = write.Close() }() // the program has its own copy
	r := &running{command: c, out: read, dead: make(chan struct{})}
	r.stderr.to = c.stderr
	if r.stderr.to == nil {
		r.stderr.to = os.Stderr
	}
	r.cmd = &exec.Cmd{
		Path: c.Path, Args: c.Argv, Env: process.Env(os.Environ()),
		Stdout: write, Stderr: &r.stderr, SysProcAttr: process.OwnGroup(), WaitDelay: stderrDelay,
	}
	if err := process.Start(r.cmd); err != nil {
		_ = read.Close()
		return nil, fmt.Errorf("start the command %s: %w", c.Argv[0], err)
	}
	go r.awaitEnd()
	r.pump = newPump(spooledBlocks, func() (io.ReadCloser, error) { return read, nil })
	return r, nil
}

// running is a started program.
type running struct {
	*command
	*pump

	cmd    *exec.Cmd
	out    *os.File
	stderr tail
	dead   chan struct{} // closed when the program has ended

	mu   sync.Mutex
	gone bool // guarded by mu; the program has been reaped, so its PID may be reused
}

// awaitEnd waits for the program to exit. If it failed, the rest of its group is killed, because those processes could
// hold its output open. If it succeeded, they may still write.
func (r *running) awaitEnd() {
	defer close(r.dead)
	process.AwaitExit(r.cmd.Process.Pid)
	r.mu.Lock()
	_ = r.cmd.Wait() // ProcessState has the details
	if !r.cmd.ProcessState.Success() {
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) // fails only if all are dead
	}
	r.gone = true
	r.mu.Unlock()
	process.Ended(r.cmd.Process.Pid)
}

// fetch returns the next portion of the output. At the end of the output, the program's status decides whether the
// output is complete.
func (r *running) fetch(ctx context.Context) (portion, error) {
	p, err := r.pump.fetch(ctx)
	if err != io.EOF { //nolint:errorlint // only io.EOF itself is the end
		return p, err
	}
	select {
	case <-r.dead:
	case <-ctx.Done():
		return portion{}, ctx.Err()
	}
	if r.cmd.ProcessState.Success() {
		return portion{}, io.EOF
	}
	return portion{}, fmt.Errorf("the command failed with %s%s", r.cmd.ProcessState, r.stderr.end())
}

// close kills the program if it is still running, and waits for all goroutines.
func (r *running) close() error {
	r.mu.Lock()
	if !r.gone {
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) // fails only if all are dead
	}
	r.mu.Unlock()
	<-r.dead
	_ = r.pump.close()
	_ = r.out.Close() // interrupts the pump's read
	<-r.done
	return nil
}

// A tail forwards standard error and keeps its end.
type tail struct {
	to io.Writer

	mu   sync.Mutex
	last []byte // guarded by mu
}

// Most bytes and lines of standard error in an error.
const (
	tailBytes = 2 << 10
	tailLines = 5
)

// Write never fails, so the program is not killed by an error here.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = t.to.Write(p)
	t.last = append(t.last, p...)
	if over := len(t.last) - tailBytes; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return len(p), nil
}

// end returns the last lines, on one line.
func (t *tail) end() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimSpace(bytes.ToValidUTF8(t.last, []byte("\uFFFD")))
	if len(text) == 0 {
		return ", and nothing on standard error"
	}
	lines := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' })
	return ": " + strings.Join(lines[max(0, len(lines)-tailLines):], "; ")
}
