package ledger

import "time"

// Reason is why a lease ended without a result.
type Reason int

// The reasons.
const (
	Lost     Reason = iota // its reply was lost, or it was given up
	Returned               // given back with a goodbye
	Vanished               // its mapper vanished
	reasons
)

// String returns the reason's name.
func (r Reason) String() string { return [reasons]string{"lost", "returned", "vanished"}[r] }

// Redelivered counts, by Reason, the chunks handed out again. They sum up to
// Tally.Redelivered.
func (l *Ledger) Redelivered() [reasons]uint64 { return l.reasons }

// Oldest is how long the chunk that is longest in flight has been so; 0: none is.
func (l *Ledger) Oldest(now time.Time) time.Duration {
	if first := l.flight.Front(); first != nil {
		return max(0, now.Sub(first.Value.(*entry).since))
	}
	return 0
}

// Median is how long the last chunks were in flight; 0: none was saved yet.
func (l *Ledger) Median() time.Duration { return l.durations.median }
