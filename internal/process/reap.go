package process

import (
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// processes are the child processes of this one. The variable is global because the kernel hands orphans to a process,
// not to a worker.
var processes = children{pids: map[int]bool{}}

// children tracks which child processes have an owner that waits for them. Any other child is an orphan: a process that
// a program started and left behind. The kernel hands orphans to process 1, which chunkline is in a container, or to a
// subreaper. children reaps them; otherwise each would stay in the process table.
//
// It only works while a program runs.
type children struct {
	mu   sync.Mutex   // held while a process starts, so that its PID is known before it can end
	pids map[int]bool // guarded by mu; PIDs of the processes that have an owner
	stop func()       // guarded by mu; ends watch; nil: this process gets no orphans
}

// Start starts a process. Its owner must wait for it and then call Ended.
func Start(cmd *exec.Cmd) error {
	c := &processes
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.pids[cmd.Process.Pid] = true
	if c.stop == nil && adopts() {
		c.stop = c.watch()
	}
	return nil
}

// Ended records that the owner of pid has waited for it.
func Ended(pid int) {
	c := &processes
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

// watch reaps orphans whenever a child ends, until stop is called.
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

// reap reaps the orphans that have ended. It stops at an ended child that has an owner: the owner reaps it at once and
// calls Ended, which reaps the rest. The caller holds mu.
func (c *children) reap() {
	for c.stop != nil {
		pid := endedChild()
		if c.pids[pid] || pid <= 0 {
			return
		}
		if _, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); err != nil {
			return
		}
	}
}
