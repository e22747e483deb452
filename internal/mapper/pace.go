package mapper

import (
	"sync/atomic"
	"time"
)

// pace is the time that a worker of this mapper takes for one object: a moving average over the last pieces, in
// nanoseconds. The fetcher sizes grants by it.
type pace struct{ average atomic.Int64 }

// paceWeight is the part of the average that is replaced by each piece. Four quick pieces after a slow one bring the
// average down to a third.
const paceWeight = 4

// note adds a piece. Several workers may call it at a time; if two do at the same moment, one of their values may be
// lost, which does not matter.
func (p *pace) note(took time.Duration, objects int) {
	each := max(1, int64(took)/int64(max(1, objects)))
	if before := p.average.Load(); before > 0 {
		each = before + (each-before)/paceWeight
	}
	p.average.Store(max(1, each))
}

// perObject returns the average; 0 before the first piece.
func (p *pace) perObject() time.Duration { return time.Duration(p.average.Load()) }

// restart forgets the average, because the transform has changed.
func (p *pace) restart() { p.average.Store(0) }
