//go:build linux || darwin

package transform

import (
	"fmt"
	"syscall"
)

// replace sees to it that a process runs, where none does. After a failure a
// second one is started beside it and waits, so that the next failure does not
// cost the time of a start. Programs that never fail have no spare.
func (p *program) replace() error {
	p.child, p.spare = p.spare, nil
	if c := p.child; c != nil && c.peek() != quiet { // it does not wait for an object: it ended, or it printed something
		p.alone = true
		p.child = nil
		c.kill()
	}
	var err error
	if p.child == nil {
		if p.child, err = p.launch(); err != nil {
			return fmt.Errorf("%w: start %s: %w%s", ErrBroken, p.argv[0], err, startHint(err))
		}
	}
	if p.failed > 0 && !p.alone {
		if p.spare, err = p.launch(); err != nil {
			p.alone, p.spare = true, nil
		}
	}
	return nil
}

func (p *program) launch() (*child, error) {
	return startChild(p.path, p.argv, p.env, p.log.process(), p.limit)
}

// dismiss ends the spare. It had no object, so it has nothing to do at its end.
func (p *program) dismiss() {
	c := p.spare
	if c == nil {
		return
	}
	p.spare = nil
	p.ending.Go(func() {
		_ = c.stdin.Close()
		c.signal(syscall.SIGTERM)
		if !c.diesWithin(p.termGrace) {
			c.signal(syscall.SIGKILL)
			<-c.dead
		}
		c.close()
	})
}
