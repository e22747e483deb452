package ledger

import (
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Reason is why a lease ended without a result.
type Reason int

// The reasons.
const (
	Lost     Reason = iota // its reply was lost, or the mapper gave it up
	Returned               // given back with a goodbye
	Vanished               // its mapper vanished
	reasons
)

// String returns the reason's name.
func (r Reason) String() string { return [reasons]string{"lost", "returned", "vanished"}[r] }

// Redelivered counts, by Reason, the pieces handed out again. They sum up to Tally.Redelivered.
func (l *Ledger) Redelivered() [reasons]uint64 { return l.reasons }

// loseLease removes a lease that ended without a result. If it was the piece's last, the piece is unconfirmed: its
// result may have reached the sink all the same.
func (l *Ledger) loseLease(e *entry, m *mapper) {
	l.endLease(e, e.leaseOf(m))
	if len(e.leases) == 0 {
		l.unconfirmed[e] = struct{}{}
	}
}

// Unconfirmed returns, ascending, the pieces whose last lease ended without a result. The caller asks the sink for
// each, and calls Saved for what it holds, then NotSaved.
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

// NotSaved records that the sink holds no other objects of an unconfirmed piece. The piece is ready again, or dead if
// it has crashed too many mappers. If it is leased or saved by now, the answer is outdated and changes nothing. If the
// piece was cut meanwhile, the answer applies to its parts.
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

// requeue makes a piece without a lease ready, or dead if it has crashed too many mappers.
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

// TakeDead returns a dead piece that was not taken before. It stays dead until it is saved, as dead letters or by a
// mapper that came back.
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

// ReturnDead lets TakeDead return a piece again, because it could not be saved.
func (l *Ledger) ReturnDead(p chunk.Piece) { l.dead = append(l.dead, p) }
