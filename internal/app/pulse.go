package app

import (
	"fmt"
	"sync/atomic"
	"time"
)

// maxSilence is how long a role's loop may stand still before /healthz says
// so. Loops turn at least once a second; 30 s is far beyond a slow disk sync
// or a long garbage collection, and well within what a liveness probe waits.
const maxSilence = 30 * time.Second

// A Pulse shows that a loop turns. The loop calls Beat, a probe calls Check.
type Pulse struct{ last atomic.Pointer[time.Time] }

// Beat notes that the loop turned now.
func (p *Pulse) Beat() {
	now := time.Now()
	p.last.Store(&now)
}

// Check returns an error when the loop has stood still for too long. A loop
// that has not begun is not stuck.
func (p *Pulse) Check() error {
	last := p.last.Load()
	if last == nil {
		return nil
	}
	if silence := time.Since(*last); silence > maxSilence {
		return fmt.Errorf("loop has stood still for %s", silence.Round(time.Second))
	}
	return nil
}
