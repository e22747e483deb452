//go:build unix

package bus_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
)

// childProcess is a server that can be frozen.
type childProcess struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
}

func startChild(t *testing.T) *childProcess {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childServer+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &childProcess{t: t, cmd: cmd}
	t.Cleanup(func() {
		c.signal(syscall.SIGCONT)
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child server: %v", err)
		}
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("read the child's URL: %v", err)
	}
	c.url = strings.TrimSpace(url)
	return c
}

func (c *childProcess) signal(s syscall.Signal) {
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Errorf("signal %v: %v", s, err)
	}
}

// TestFrozenServer freezes the server and fills the socket, so that a write
// would wait for the flusher timeout, which is long here. No call may.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	child := startChild(t)
	b, err := bus.Connect(bus.Config{URL: child.url}, bus.Stuck(bus.Options{Job: "frozen", Role: bus.RoleMapper, Log: zerolog.Nop()}))
	if err != nil {
		t.Fatal(err)
	}
	patience, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	if err := b.WaitOnline(patience); err != nil {
		t.Fatal(err)
	}
	child.signal(syscall.SIGSTOP)
	large := wire.Message{Body: make([]byte, 1<<20-200)}
	for {
		if err := b.Publish(wire.VerbBeat, large); err != nil {
			break // it gave up, and its write is stuck
		}
	}
	ctx, stop := context.WithTimeout(patience, 50*time.Millisecond)
	defer stop()
	returned := make(chan error, 3)
	go func() { _, err := b.Request(ctx, wire.VerbNext, large); returned <- err }()
	go func() { _, err := b.Request(ctx, wire.VerbNext, wire.Message{}); returned <- err }()
	go func() { returned <- b.Flush(ctx) }()
	for range 3 {
		if err := <-returned; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call to a frozen server: error %v, want %v", err, context.DeadlineExceeded)
		}
	}
	b.Stats()
	b.Online() // neither may wait; if one does, the test never ends
	child.signal(syscall.SIGCONT)
	b.Close()
}
