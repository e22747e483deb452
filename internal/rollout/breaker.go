package rollout

import "time"

const (
	// window is how many of the last chunks count. leastChunks is how many there must be before the breaker can open.
	window      = 20
	leastChunks = 5
	// maxDoublings bounds how often the open time of a breaker is doubled.
	maxDoublings = 5
	// mostlyFailed is the share of failed objects above which more mappers would only produce more failures.
	mostlyFailed = 0.5
)

// State is the state of a circuit breaker.
type State int

// The states.
const (
	Closed   State = iota // every chunk passes
	Open                  // no chunk passes until the open time is over
	HalfOpen              // one chunk at a time passes, as a probe
	states
)

// String returns the state's name.
func (s State) String() string { return [states]string{"closed", "open", "half-open"}[s] }

// A Transition is the change of a breaker's state after a result.
type Transition int

// The transitions.
const (
	Unchanged Transition = iota
	Opened               // from closed, or from half-open because the probe failed
	Reclosed             // the probe succeeded
)

// A Breaker is the circuit breaker of one version. The package comment has a drawing.
//
// Invariant: a breaker that has opened lets no chunk pass, whatever its state, until Fenced is called: until the saver
// refuses results of the chunks that the version held.
type Breaker struct {
	limit float64       // share of failed objects above which it opens; 0: never
	rest  time.Duration // open time, before it is doubled

	recent   Outcomes
	failed   float64   // share of failed objects for which it opened last
	probeAt  time.Time // end of the open time; zero: closed
	openings int       // in a row
	unfenced bool
}

// State returns the breaker's state at a time.
func (b *Breaker) State(now time.Time) State {
	switch {
	case b.Closed():
		return Closed
	case now.Before(b.probeAt):
		return Open
	}
	return HalfOpen
}

// Closed reports whether the breaker is closed. Unlike the other two states this one does not depend on the time.
func (b *Breaker) Closed() bool { return b.probeAt.IsZero() }

// ProbeIn returns the time until a probe may pass; 0 or less: half-open. It is undefined while the breaker is closed.
func (b *Breaker) ProbeIn(now time.Time) time.Duration { return b.probeAt.Sub(now) }

// FailedShare returns the share of failed objects for which the breaker opened last.
func (b *Breaker) FailedShare() float64 { return b.failed }

// allows reports whether one more chunk may pass. held returns how many chunks the version holds.
func (b *Breaker) allows(now time.Time, held func() int) bool {
	if b.unfenced {
		return false
	}
	switch b.State(now) {
	case Open:
		return false
	case HalfOpen:
		return held() == 0
	default:
		return true
	}
}

// Record counts the outcome of a chunk. While the breaker is open, outcomes do not count, because the version got those
// chunks before.
func (b *Breaker) Record(now time.Time, o Outcome) Transition {
	state := b.State(now)
	if b.limit <= 0 || state == Open {
		return Unchanged
	}
	b.recent.Add(o)
	failed := b.recent.FailedShare()
	switch {
	case failed > b.limit && (state == HalfOpen || len(b.recent) >= leastChunks):
		b.probeAt = now.Add(b.rest << min(b.openings, maxDoublings))
		b.openings++
		b.recent, b.failed = nil, failed
		b.unfenced = true
		return Opened
	case failed <= b.limit && state == HalfOpen:
		b.Reset()
		return Reclosed
	}
	return Unchanged
}

// Reset closes the breaker, as if nothing had failed.
func (b *Breaker) Reset() { b.probeAt, b.openings, b.recent = time.Time{}, 0, nil }

// Unfenced reports whether the breaker has opened and the saver does not yet refuse results of the chunks that the
// version held.
func (b *Breaker) Unfenced() bool { return b.unfenced }

// Fenced records that the saver refuses those results.
func (b *Breaker) Fenced() { b.unfenced = false }

// An Outcome counts the failures of a chunk. If a mapper vanishes with a chunk, all objects of the chunk count as
// failed.
type Outcome struct{ Objects, Failed int }

// Outcomes holds the outcomes of the last chunks, oldest first.
type Outcomes []Outcome

// Add appends an outcome and drops the oldest one if there are too many.
func (o *Outcomes) Add(one Outcome) {
	if *o = append(*o, one); len(*o) > window {
		*o = (*o)[1:]
	}
}

// FailedShare returns the share of failed objects, and 0 without objects.
func (o Outcomes) FailedShare() float64 {
	var sum Outcome
	for _, one := range o {
		sum.Objects, sum.Failed = sum.Objects+one.Objects, sum.Failed+one.Failed
	}
	if sum.Objects == 0 {
		return 0
	}
	return float64(sum.Failed) / float64(sum.Objects)
}

// MostlyFailed reports whether the share of failures is so large that more mappers would not help.
func (o Outcomes) MostlyFailed() bool {
	return len(o) >= leastChunks && o.FailedShare() >= mostlyFailed
}
