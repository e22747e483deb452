package ledger

import (
	"maps"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

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

// loseLease removes a lease that ended without a result. A chunk that has no
// other one is unconfirmed: its result may have reached the sink all the same.
func (l *Ledger) loseLease(e *entry, m *mapper) {
	l.endLease(e, e.leaseOf(m))
	if len(e.leases) == 0 {
		l.unconfirmed[e.id] = struct{}{}
	}
}

// Unconfirmed lists, by ID, the chunks whose last lease ended without a result.
// The caller asks the sink for each, and tells NotSaved or Saved.
func (l *Ledger) Unconfirmed() []chunk.ID {
	if len(l.unconfirmed) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(l.unconfirmed))
}

// NotSaved notes that the sink does not hold an unconfirmed chunk. The chunk is
// ready again, or dead if it has taken down too many mappers. A chunk that is
// leased or saved by now does not change: the answer is out of date.
func (l *Ledger) NotSaved(id chunk.ID) {
	if _, open := l.unconfirmed[id]; !open {
		return
	}
	delete(l.unconfirmed, id)
	e := l.open[id]
	switch {
	case l.isFatal(e):
		l.tally.Died++
		l.move(e, Dead)
		l.dead = append(l.dead, id)
	case l.isCareful(e):
		l.move(e, Ready)
		l.careful.add(id)
	default:
		l.move(e, Ready)
		l.again.add(id)
	}
}

// TakeDead returns a chunk that is dead and was not taken yet. It stays dead
// until it is saved, as dead letters or by a mapper that came back.
func (l *Ledger) TakeDead() (chunk.ID, bool) {
	for len(l.dead) > 0 {
		id := l.dead[0]
		l.dead = l.dead[1:]
		if !l.saved.has(id) {
			return id, true
		}
	}
	return 0, false
}
