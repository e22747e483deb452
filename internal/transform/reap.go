//go:build linux || darwin

package transform

import (
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// family is the processes that this one has started. There is one: the kernel
// gives orphans to a process, not to a worker.
var family = &children{pids: map[int]struct{}{}}

// children knows which children are waited for by who started them. All others
// are orphans: processes that a program has started and left behind. The kernel
// gives them to process 1, as which we run in a container, or to a subreaper.
// They are reaped here, or each would keep its place in the table of processes.
//
// It works while a program runs.
type children struct {
	mu   sync.Mutex       // held while a process starts, so that none is unknown
	pids map[int]struct{} // guarded by mu; waited for by who started them
	stop func()           // guarded by mu; nil: orphans are not ours
}

// start starts a process, whose owner waits for it and then calls ended.
func (c *children) start(cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.pids[cmd.Process.Pid] = struct{}{}
	if c.stop == nil && adopts() {
		c.stop = c.watch()
	}
	return nil
}

// ended is called when a process has been waited for.
func (c *children) ended(pid int) {
	c.mu.Lock()
	delete(c.pids, pid)
	c.reap()
	stop := c.stop
	if len(c.pids) > 0 {
		stop = nil
	} else {
		c.stop = nil
	}
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// watch reaps whenever a child ends, until stop is called.
func (c *children) watch() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-signals:
				c.mu.Lock()
				c.reap()
				c.mu.Unlock()
			case <-stopping:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(stopping)
		<-stopped
	}
}

// reap reaps the orphans that have ended. It stops at a child of ours that has:
// its owner reaps it at once, and calls ended. The caller holds mu.
func (c *children) reap() {
	for c.stop != nil {
		pid := endedChild()
		if _, known := c.pids[pid]; known || pid <= 0 {
			return
		}
		if _, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); err != nil {
			return
		}
	}
}
