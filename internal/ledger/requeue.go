package ledger

import (
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

// Redelivered counts, by Reason, the pieces handed out again. They sum up to
// Tally.Redelivered.
func (l *Ledger) Redelivered() [reasons]uint64 { return l.reasons }

// loseLease removes a lease that ended without a result. A piece that has no
// other one is unconfirmed: its result may have reached the sink all the same.
func (l *Ledger) loseLease(e *entry, m *mapper) {
	l.endLease(e, e.leaseOf(m))
	if len(e.leases) == 0 {
		l.unconfirmed[e] = struct{}{}
	}
}

// Unconfirmed lists, ascending, the pieces whose last lease ended without a result.
// The caller asks the sink for each, and tells Saved what it holds of it, then NotSaved.
func (l *Ledger) Unconfirmed() []chunk.Piece {
	if len(l.unconfirmed) == 0 {
		return nil
	}
	list := make([]chunk.Piece, 0, len(l.unconfirmed))
	for e := range l.unconfirmed {
		list = append(list, e.piece)
	}
	slices.SortFunc(list, chunk.Piece.Compare)
	return list
}

// NotSaved notes that the sink holds nothing else of a piece that was unconfirmed. It is
// ready again, or dead if it has taken down too many mappers. What is leased or saved by
// now does not change: the answer is out of date. If the piece was cut meanwhile, the answer
// holds for its parts.
func (l *Ledger) NotSaved(p chunk.Piece) {
	c := l.open[p.Chunk]
	if c == nil {
		return
	}
	for _, e := range c.overlapping(p) {
		if _, unconfirmed := l.unconfirmed[e]; unconfirmed && p.Contains(e.piece) {
			l.requeue(e)
		}
	}
}

// requeue makes a piece without a lease ready, or dead if it has taken down too many mappers.
func (l *Ledger) requeue(e *entry) {
	delete(l.unconfirmed, e)
	if l.isFatal(e) {
		if e.state != Dead {
			l.tally.Died++
		}
		l.move(e, Dead)
		l.dead = append(l.dead, e.piece)
		return
	}
	l.move(e, Ready)
	l.queue(e)
}

// TakeDead returns a piece that is dead and was not taken yet. It stays dead
// until it is saved, as dead letters or by a mapper that came back.
func (l *Ledger) TakeDead() (chunk.Piece, bool) {
	for len(l.dead) > 0 {
		p := l.dead[0]
		l.dead = l.dead[1:]
		if e := l.find(p); e != nil && e.state == Dead {
			return p, true
		}
	}
	return chunk.Piece{}, false
}
