package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is far beyond
// what anything takes, and only ends tests that hang.
const patience = 4 * time.Minute

// process is one program that can be killed and started again.
type process struct {
	t    *testing.T
	name string
	args []string
	env  []string
	log  string // file that takes stderr

	mu     sync.Mutex
	cmd    *exec.Cmd     // guarded by mu
	exited chan struct{} // guarded by mu; closed when cmd has been waited for
}

// program starts one of the built programs; the end of the test kills it.
func program(t *testing.T, dir, label, name string, args []string, env ...string) *process {
	t.Helper()
	p := &process{t: t, name: filepath.Join(programs, name), args: args, env: env, log: filepath.Join(dir, label+".log")}
	p.start()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s: %s", label, p.tail())
		}
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.name, p.args...)
	cmd.Env = append(os.Environ(), append(p.env, "NO_COLOR=1")...)
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

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() { p.signal(syscall.SIGKILL); p.wait() }

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s) // it may have ended by itself
}

func (p *process) wait() {
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	<-exited
}

// exit waits until the process ends by itself and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	p.mu.Lock()
	exited, cmd := p.exited, p.cmd
	p.mu.Unlock()
	select {
	case <-exited:
		return cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s did not end", p.log)
		return 0
	}
}

func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(text) > 4000 {
		text = text[len(text)-4000:]
	}
	return string(text)
}

// await waits until the process has logged text.
func (p *process) await(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	eventually(ctx, p.t, "log of "+p.log+" with "+text, func() bool {
		log, err := os.ReadFile(p.log)
		return err == nil && bytes.Contains(log, []byte(text))
	})
}

// eventually polls until done.
func eventually(ctx context.Context, t *testing.T, what string, done func() bool) {
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

// freeAddress is a loopback address that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// natsServer starts a nats-server process and returns its URL.
func natsServer(t *testing.T, dir string) (*process, string) {
	t.Helper()
	host, port, _ := strings.Cut(freeAddress(t), ":")
	p := program(t, dir, "nats", "nats-server", []string{"-a", host, "-p", port})
	return p, fmt.Sprintf("nats://%s:%s", host, port)
}

// chunkline runs the operator's program to its end.
func chunkline(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "chunkline"), args...)
	cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("run chunkline %s: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// users generates n users and returns the file.
func users(t *testing.T, dir string, n int) string {
	t.Helper()
	path := filepath.Join(dir, "users.jsonl")
	if _, stderr, code := chunkline(t, nil, "generate", "users", "-n", fmt.Sprint(n), "-o", path); code != 0 {
		t.Fatalf("generate users: exit %d: %s", code, stderr)
	}
	return path
}
