//go:build linux || darwin

package transform

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

const (
	// defaultEnd is how long a program may take to end when its input has ended.
	defaultEnd = 30 * time.Second

	// termGrace is how long it may take after SIGTERM.
	termGrace = 5 * time.Second
)

// ErrEnd means that a program answered all its objects, but did not end well
// afterwards: what it does at its end may not be done.
var ErrEnd = errors.New("the program did not end well")

// Close lets the process end, and waits for it and for all that were put away
// before. It returns ErrEnd if it did not end well.
func (p *program) Close() error {
	defer p.ending.Wait()
	p.dismiss()
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
	return fmt.Errorf("%w: %s: %s; what it does at its end may be missing", ErrEnd, p.name(), bad)
}

// abort forgets the chunk. The process has answered other objects, so it may
// end in its own time.
func (p *program) abort() {
	p.letGo(func(bad string) { p.say("was stopped in the middle of a chunk: " + bad) })
}

// letGo puts the process away, if one runs, and lets it end by itself, beside
// the next one. Then, if it ends badly, notify is called.
func (p *program) letGo(notify func(bad string)) {
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

// endedBetween says once that a program ends badly when it has answered: its
// objects are saved, and what it does after an answer may not be done.
func (p *program) endedBetween(bad string) {
	p.crashes.Do(func() {
		p.say("ended between two objects: " + bad + "; its answers count, but what it does after them may be missing")
	})
}

// end lets a process end by itself: its input ends, and what it still prints is
// dropped. If it takes too long, it gets SIGTERM, then SIGKILL. It returns how
// the process ended, if not well.
func (p *program) end(c *child) (bad string) {
	_ = c.stdin.Close()
	_ = c.stdout.SetReadDeadline(time.Time{})
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, c.stdout) // it must not wait for us, or die of a broken pipe
	}()
	how := ""
	if !c.diesWithin(p.endTimeout) {
		how = fmt.Sprintf(", stopped because it had not ended %v after its input (--end-timeout, END_TIMEOUT)", p.endTimeout)
		p.say(fmt.Sprintf("has not ended %v after its input (--end-timeout, END_TIMEOUT): it gets SIGTERM", p.endTimeout))
		c.signal(syscall.SIGTERM)
		c.signal(syscall.SIGCONT)
		if !c.diesWithin(p.termGrace) {
			p.say(fmt.Sprintf("has not ended %v after SIGTERM: it is killed", p.termGrace))
			c.signal(syscall.SIGKILL)
			<-c.dead
		}
	}
	_ = c.stdout.SetReadDeadline(past)
	<-drained
	state, words := c.close()
	if c.cmd.ProcessState.Success() {
		return ""
	}
	bad = "it ended with " + state + how
	if words != "" {
		bad += "; on standard error: " + words
	}
	return bad
}

func (c *child) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// diesWithin waits for the end of the process, d at the most.
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
