package mapper

import (
	"context"
	"time"
)

// A request for work takes 2 to 5 ms. A worker that asks shortly before its work ends has its next grant at once. Only
// one request of a worker is open at a time.
const (
	// aheadLead is how long before the expected end of its grant a worker asks for the next one.
	aheadLead = 10 * time.Millisecond

	// aheadWork is the longest grant during which a worker asks. For a longer one the wait is less than a hundredth of
	// its time, and the expected end is less certain.
	aheadWork = 500 * time.Millisecond

	// aheadWait is how long the fetcher keeps such a request open, and how long its grant waits for the worker. Then
	// the pieces are given back, because other workers may be idle.
	aheadWait = 500 * time.Millisecond
)

// ahead is a request that a worker makes while it maps a grant. A goroutine makes the request and keeps the answer; the
// worker ends it with take.
type ahead struct {
	idle    chan struct{} // closed when the worker has mapped its grant
	answers chan answer   // carries the answer; closed when there will be none
}

// askAhead makes a worker that begins with these pieces ask ahead. It returns nil if the worker must not do so.
func (m *Mapper) askAhead(asking, work context.Context, worker int, pieces []*piece) *ahead {
	in, ok := m.aheadIn(pieces)
	if !ok {
		return nil
	}
	a := &ahead{idle: make(chan struct{}), answers: make(chan answer)}
	go func() {
		defer close(a.answers)
		if !a.await(asking, in) {
			return
		}
		reserved, full := m.memory.reserve()
		if full != nil {
			return
		}
		got := m.ask(asking, work, worker, aheadWait, reserved)
		patience := time.NewTimer(aheadWait)
		defer patience.Stop()
		select {
		case a.answers <- got:
		case <-patience.C:
			m.decline(got)
			if got.outcome == haveWork { // idle mappers need not wait for the next heartbeat
				m.outages.beats.Note(m.beat(nil, false))
			}
		}
	}()
	return a
}

// aheadIn returns how long after it has begun with the pieces the worker asks for more. It returns false if the worker
// must map them first.
//
// A copy for a shadow run cannot be given back, because no mapper would get it again. A piece that was held by a mapper
// that has vanished should be alone in a mapper, so that the next crash has fewer possible causes.
func (m *Mapper) aheadIn(pieces []*piece) (time.Duration, bool) {
	objects := 0
	for _, p := range pieces {
		if p.shadow || p.Careful || p.Attempt > 1 {
			return 0, false
		}
		objects += p.Chunk.Count
	}
	each := m.pace.perObject()
	if each == 0 || each > aheadWork/time.Duration(max(1, objects)) {
		return 0, false
	}
	return max(0, each*time.Duration(objects)-aheadLead), true
}

// await waits until it is time to ask, and reports whether the worker is still mapping then.
func (a *ahead) await(asking context.Context, in time.Duration) bool {
	if in <= 0 {
		return true
	}
	due := time.NewTimer(in)
	defer due.Stop()
	select {
	case <-due.C:
		return true
	case <-a.idle:
		return false
	case <-asking.Done():
		return false
	}
}

// take waits for the answer and returns it, or false if the worker has not asked, or if the answer has waited too long.
// It also waits for the goroutine. A nil ahead has no answer.
func (a *ahead) take() (answer, bool) {
	if a == nil {
		return answer{}, false
	}
	close(a.idle)
	got, asked := <-a.answers
	return got, asked
}
