package transform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// lockedBuffer takes writes of several processes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// holders is a listener that processes connect to as long as they live.
type holders struct {
	t *testing.T
	net.Listener
}

func newHolders(t *testing.T) holders {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return holders{t, l}
}

func (h holders) addr() string { return h.Addr().String() }

// next waits for a process, and gives what returns when it is dead.
func (h holders) next() (waitDead func()) {
	conn, err := h.Accept()
	if err != nil {
		h.t.Fatal(err)
	}
	return func() {
		_, _ = io.Copy(io.Discard, conn) // ends with the process, by EOF or reset
		conn.Close()
	}
}

// All that a program started dies with it, although it holds the pipes open.
func TestExecKillsTheFamily(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"close", "cancel", "crash", "abort"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h := newHolders(t)
			p := newFake(t, false)
			mustRun(t, p, wishes(wish{Do: "family", Addr: h.addr()}), nil, Options{})
			child, grandchild := h.next(), h.next()
			switch how {
			case "close":
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
			case "cancel":
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				_, err := Run(ctx, p, wishes(wish{ID: 1}, wish{ID: 2}), nil, Options{Before: func(index int) error {
					if index == 1 {
						cancel()
					}
					return nil
				}})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Run: %v", err)
				}
			case "crash":
				wantFailed(t, mustRun(t, p, wishes(wish{Do: "crash"}), nil, Options{}), 0, "exit status 3")
			case "abort":
				stop := errors.New("stop")
				_, err := Run(t.Context(), p, wishes(wish{}), nil, Options{Before: func(int) error { return stop }})
				if !errors.Is(err, stop) {
					t.Errorf("Run: %v", err)
				}
			}
			child()
			grandchild()
		})
	}
}

// The same with a shell, as users will write it: Run would hang here if the
// sleep, which holds our pipes, were left alive.
func TestExecShellInBackground(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, `exec:sh -c 'sleep 1000 & while read -r line; do echo "$line"; done; wait'`)
	b := body(`1`, `2`, `3`)
	out := mustRun(t, tr, b, nil, Options{})
	wantLines(t, out, `1`, `2`, `3`)
	tr.(*program).endTimeout = 1 // it waits for its sleep
	if err := tr.Close(); !errors.Is(err, ErrEnd) || !strings.Contains(err.Error(), "sh: it ended with signal: terminated") {
		t.Errorf("Close: %v, want ErrEnd with the signal", err)
	}
}

// The end of the context ends an object in progress, at once, process and all.
func TestExecCancel(t *testing.T) {
	t.Parallel()
	inModes(t, func(t *testing.T, trusted bool) {
		h := newHolders(t)
		p := newFake(t, trusted)
		p.endTimeout = 1 // it hangs
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		result := make(chan error, 1)
		go func() {
			_, err := Run(ctx, p, wishes(wish{ID: 0}, wish{ID: 1, Do: "hang", Addr: h.addr()}), nil, Options{})
			result <- err
		}()
		dead := h.next()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v, want the end of its context", err)
		}
		dead()
		if p.child != nil {
			t.Error("a process is left")
		}
		p.ending.Wait()
		p.endTimeout = time.Hour
		out := mustRun(t, p, wishes(wish{ID: 2}), nil, Options{}) // and it is fit for the next chunk
		wantLines(t, out, `{"id":2}`)
	})
}

// A large object that the program does not read does not keep Run from ending.
func TestExecCancelWhileWriting(t *testing.T) {
	t.Parallel()
	tr := mustNew(t, "exec:sleep 1000")
	out := mustRun(t, slowFake{tr.(*program), wide{tr, "xxx"}}, body(`"`+strings.Repeat("x", 1<<20)+`"`), nil, Options{})
	wantFailed(t, out, 0, errTestTime.Error())
}

func TestExecCloseWithoutWork(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExecPassesStderrOn(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	mustRun(t, p, wishes(wish{ID: 0, Do: "noise", Size: 2}), nil, Options{})
	out := mustRun(t, p, wishes(wish{ID: 1, Do: "crash"}), nil, Options{})
	wantFailed(t, out, 0, "on standard error: panic: bad object 1")
	got := p.log.to.(*lockedBuffer).String()
	for _, want := range []string{"noise 0\n", "noise 1\n", "panic: bad object 1\n"} {
		if !strings.Contains(got, p.log.prefix+want) {
			t.Errorf("%q is not passed on:\n%s", want, got)
		}
	}
}

func TestStderrLogIsBounded(t *testing.T) {
	t.Parallel()
	var to bytes.Buffer
	log := newStderrLog("map.py", &to)
	l := log.process()
	for i := range 10_000 {
		fmt.Fprintf(l, "line %d\n", i)
	}
	if text := to.String(); len(text) > passedBytes+200 || strings.Count(text, "dropped until the next chunk") != 1 {
		t.Errorf("%d bytes passed on, end %q", len(text), text[len(text)-100:])
	}
	tail := l.end()
	if len(tail) > tailBytes || !strings.HasSuffix(tail, "line 9998\nline 9999") {
		t.Errorf("tail of %d bytes, end %q", len(tail), tail[len(tail)-30:])
	}
	to.Reset()
	log.begin()
	l = log.process()
	fmt.Fprintf(l, "one\ntw")
	fmt.Fprintf(l, "o\n%s\nrest", strings.Repeat("x", 3*lineBytes))
	if tail := l.end(); !strings.HasSuffix(tail, "xxx\nrest") {
		t.Errorf("tail ends in %q", tail[len(tail)-10:])
	}
	want := "map.py: one\nmap.py: two\nmap.py: " + strings.Repeat("x", lineBytes) + "\nmap.py: rest\n"
	if to.String() != want {
		t.Errorf("passed on %d bytes, want %d", to.Len(), len(want))
	}
	if tail := log.process().end(); tail != "" {
		t.Errorf("the next process inherits %q", tail)
	}
}
