package transform

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

const (
	// defaultEnd is how long a program may run after its input has ended.
	defaultEnd = 30 * time.Second

	// termGrace is how long it may then run after SIGTERM.
	termGrace = 5 * time.Second
)

// ErrEnd means that a program answered all its objects but then exited badly, so the work that it does on exit may be
// missing.
var ErrEnd = errors.New("the program did not exit cleanly")

// Close lets the process end, and waits for it and for all processes that are ending in the background. It returns
// ErrEnd if the process exited badly.
func (p *program) Close() error {
	defer p.ending.Wait()
	p.endSpare()
	c := p.child
	if c == nil {
		return nil
	}
	p.child = nil
	early := c.isDead()
	bad := p.end(c)
	switch {
	case bad == "":
		return nil
	case early:
		p.endedBetween(bad)
		return nil
	}
	return fmt.Errorf("%w: %s: %s; work that it does on exit may be missing", ErrEnd, p.Name(), bad)
}

// abort drops the chunk. The process has answered other objects, so it may finish in the background.
func (p *program) abort() {
	p.endInBackground(func(bad string) { p.say("was stopped in the middle of a chunk: " + bad) })
}

// endInBackground drops the process, if one runs, and lets it end while the next one runs. It calls notify if the
// process exits badly.
func (p *program) endInBackground(notify func(bad string)) {
	c := p.child
	p.forget()
	if c == nil {
		return
	}
	p.ending.Go(func() {
		if bad := p.end(c); bad != "" {
			notify(bad)
		}
	})
}

// endedBetween warns once that a program exited badly after an answer. Its objects are saved, but work that it does
// after an answer may be missing.
func (p *program) endedBetween(bad string) {
	p.warnedExit.Do(func() {
		p.say("ended between two objects: " + bad + "; its answers count, but work that it does after them may be missing")
	})
}

// end closes the input of a process and waits for it to exit, with SIGTERM and then SIGKILL if it takes too long. The
// rest of its output is dropped. end returns how the process exited, or "" if it exited with 0.
func (p *program) end(c *child) (bad string) {
	_ = c.stdin.Close()
	_ = c.stdout.SetReadDeadline(time.Time{})
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, c.stdout) // the process must neither block nor die of a broken pipe
	}()
	how := ""
	if !c.diesWithin(p.endTimeout) {
		how = fmt.Sprintf(", stopped because it was still running %v after its input ended (--end-timeout, END_TIMEOUT)", p.endTimeout)
		p.say(fmt.Sprintf("still running %v after its input ended (--end-timeout, END_TIMEOUT): sending SIGTERM", p.endTimeout))
		c.signal(syscall.SIGTERM)
		c.signal(syscall.SIGCONT)
		if !c.diesWithin(p.termGrace) {
			p.say(fmt.Sprintf("still running %v after SIGTERM: killing it", p.termGrace))
			c.signal(syscall.SIGKILL)
			<-c.dead
		}
	}
	_ = c.stdout.SetReadDeadline(past)
	<-drained
	state, stderr := c.close()
	if c.cmd.ProcessState.Success() {
		return ""
	}
	bad = "it ended with " + state + how
	if stderr != "" {
		bad += "; on standard error: " + stderr
	}
	return bad
}
