package transform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/chunkline/chunkline/internal/process"
)

const (
	// waitDelay bounds how long standard error is read after a process and its group are dead: only a process that left
	// the group can still hold it open.
	waitDelay = time.Second

	// keptBuffer is the most bytes of a buffer that is kept for the next object.
	keptBuffer = 1 << 20
)

var (
	errEnded = errors.New("the program ended, or closed its input or output, before it answered")
	errLong  = errors.New("the program's answer is too long")
)

// past is a deadline that interrupts reads and writes at once.
var past = time.Unix(1, 0)

// A stderrSink receives the standard error of one process. end is called when the process is gone; it returns the part
// that belongs in error texts.
type stderrSink interface {
	io.Writer
	end() string
}

// A child is one running process. One goroutine uses it.
type child struct {
	cmd    *exec.Cmd
	stderr stderrSink
	dead   chan struct{} // closed when the process and its group are dead and reaped

	mu   sync.Mutex
	gone bool // guarded by mu; the process is reaped, so its PID, which is also its group's ID, may be reused

	stdin   *os.File
	stdout  *os.File
	in, out syscall.RawConn // for reads and writes that do not wait
	line    []byte          // the object being sent
	buf     []byte          // bytes read; only the answer should be in it
	limit   int             // most bytes of an answer
	answers int
}

// startChild starts a process whose standard error goes to stderr.
func startChild(path string, argv, env []string, stderr stderrSink, limit int) (*child, error) {
	stdinRead, stdinWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer stdinRead.Close()
	stdoutRead, stdoutWrite, err := os.Pipe()
	if err != nil {
		_ = stdinWrite.Close()
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer stdoutWrite.Close()
	c := &child{stdin: stdinWrite, stdout: stdoutRead, limit: limit, stderr: stderr}
	c.cmd = &exec.Cmd{
		Path: path, Args: argv, Env: env,
		Stdin: stdinRead, Stdout: stdoutWrite, Stderr: stderr,
		SysProcAttr: process.OwnGroup(), WaitDelay: waitDelay,
	}
	if c.in, err = stdinWrite.SyscallConn(); err == nil {
		c.out, err = stdoutRead.SyscallConn()
	}
	if err == nil {
		err = process.Start(c.cmd)
	}
	if err != nil {
		_ = stdinWrite.Close()
		_ = stdoutRead.Close()
		return nil, err
	}
	c.dead = make(chan struct{})
	go c.awaitEnd()
	return c, nil
}

// awaitEnd waits for the process to end and kills the rest of its group: those processes could hold the pipes open, and
// the worker would wait for an answer.
func (c *child) awaitEnd() {
	defer close(c.dead)
	process.AwaitExit(c.cmd.Process.Pid)
	c.mu.Lock()
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // fails only if all are dead
	c.gone = true
	c.mu.Unlock()
	_ = c.cmd.Wait() // ProcessState has the details
	process.Ended(c.cmd.Process.Pid)
}

// ask writes one object and reads one line, which is valid until the next ask. Errors are errEnded, errLong, or
// os.ErrDeadlineExceeded if ctx has ended; after any of them the child is unusable.
func (c *child) ask(ctx context.Context, object []byte) ([]byte, error) {
	release := c.guard(ctx, time.Time{})
	defer release()
	if cap(c.line) > keptBuffer {
		c.line = nil
	}
	c.line = append(append(c.line[:0], object...), '\n')
	rest, err := c.send(c.line)
	if err != nil {
		return nil, errEnded
	}
	if len(rest) == 0 {
		return c.readLine()
	}
	sent := c.sendBeside(rest)
	line, err := c.readLine()
	if err != nil {
		c.interrupt()
	}
	unsent := <-sent
	switch {
	case err != nil:
		return nil, err
	case errors.Is(unsent, os.ErrDeadlineExceeded):
		return nil, unsent
	case unsent != nil:
		return nil, errEnded
	}
	return line, nil
}

// guard sets the deadline of reads (zero: none) and lets the end of ctx interrupt all reads and writes until release is
// called.
func (c *child) guard(ctx context.Context, deadline time.Time) (release func()) {
	c.setDeadlines(time.Time{}, deadline)
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		c.interrupt()
	})
	return func() {
		if !stop() {
			<-fired
		}
	}
}

// interrupt ends all reads and writes at once.
func (c *child) interrupt() { c.setDeadlines(past, past) }

// setDeadlines cannot fail while the pipes are open: Go polls every pipe.
func (c *child) setDeadlines(write, read time.Time) {
	_ = c.stdin.SetWriteDeadline(write)
	_ = c.stdout.SetReadDeadline(read)
}

// send writes as much of p as the pipe takes without waiting and returns the rest. Most objects fit whole, which saves
// a goroutine.
func (c *child) send(p []byte) (rest []byte, err error) {
	var n int
	raw := c.in.Write(func(fd uintptr) bool {
		n, err = ignoreEINTR(func() (int, error) { return syscall.Write(int(fd), p) })
		return true
	})
	switch {
	case raw != nil: // interrupted before it began; the read that follows reports it
		return p, nil
	case errors.Is(err, syscall.EAGAIN):
		return p, nil
	case err != nil:
		return nil, err
	}
	return p[n:], nil
}

// sendBeside writes the rest, for which the pipe had no room, while the caller reads: the process may stop reading
// until its output is read.
func (c *child) sendBeside(rest []byte) (sent <-chan error) {
	result := make(chan error, 1)
	go func() {
		_, err := c.stdin.Write(rest)
		result <- err
	}()
	return result
}

// readLine reads up to the next line break and returns the line without it.
func (c *child) readLine() ([]byte, error) {
	if cap(c.buf) > keptBuffer {
		c.buf = nil
	}
	c.buf = c.buf[:0]
	for {
		if len(c.buf) == cap(c.buf) {
			c.buf = append(c.buf, make([]byte, max(len(c.buf), 4<<10))...)[:len(c.buf)]
		}
		seen := len(c.buf)
		n, err := c.stdout.Read(c.buf[seen:cap(c.buf)])
		c.buf = c.buf[:seen+n]
		if i := bytes.IndexByte(c.buf[seen:], '\n'); i >= 0 {
			line := c.buf[:seen+i]
			c.buf = c.buf[seen+i+1:]
			if len(line) > c.limit {
				return nil, errLong
			}
			return line, nil
		}
		switch {
		case len(c.buf) > c.limit:
			return nil, errLong
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		case err != nil:
			return nil, errEnded
		}
	}
}

// A silence is the state of the output when no line is expected.
type silence int

const (
	quiet  silence = iota // nothing has arrived, as expected
	spoken                // a surplus line, or a part of one
	closed                // the output has ended
)

// peek reports what has arrived since the last answer, without waiting.
func (c *child) peek() silence {
	if len(c.buf) > 0 {
		return spoken
	}
	var n int
	var err error
	var scratch [64]byte
	c.setDeadlines(time.Time{}, time.Time{})
	if raw := c.out.Read(func(fd uintptr) bool {
		n, err = ignoreEINTR(func() (int, error) { return syscall.Read(int(fd), scratch[:]) })
		return true
	}); raw != nil {
		return closed
	}
	switch {
	case n > 0:
		return spoken
	case errors.Is(err, syscall.EAGAIN):
		return quiet
	}
	return closed
}

// listen reports what arrives within d, or until ctx ends.
func (c *child) listen(ctx context.Context, d time.Duration) silence {
	if heard := c.peek(); heard != quiet {
		return heard
	}
	defer c.guard(ctx, time.Now().Add(d))()
	var scratch [64]byte
	n, err := c.stdout.Read(scratch[:])
	switch {
	case n > 0:
		return spoken
	case errors.Is(err, os.ErrDeadlineExceeded):
		return quiet
	}
	return closed
}

// kill kills the process and everything it started. It returns how the process ended and the end of its standard error.
func (c *child) kill() (state, stderr string) {
	c.signal(syscall.SIGKILL)
	<-c.dead
	return c.close()
}

// close releases the pipes of a dead process.
func (c *child) close() (state, stderr string) {
	_ = c.stdin.Close()
	_ = c.stdout.Close()
	return c.cmd.ProcessState.String(), c.stderr.end()
}

// signal signals the process and everything it started, unless they are gone.
func (c *child) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		_ = syscall.Kill(-c.cmd.Process.Pid, s) // fails only if all are dead
	}
}

func (c *child) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// diesWithin waits for the process to end, for at most d.
func (c *child) diesWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.dead:
		return true
	case <-timer.C:
		return false
	}
}

func ignoreEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
