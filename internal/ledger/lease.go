package ledger

import (
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A Lease is the data about a piece that its mapper needs.
type Lease struct {
	Piece   chunk.Piece
	Attempt int          // counts from 1; only vanished mappers count
	Suspect bool         // a mapper vanished with it: it must be the last piece of the grant
	Careful bool         // announce each object before touching it
	Skip    []chunk.Flaw // objects to skip, by index within the chunk
	Backup  bool
}

// HasWork reports whether some mapper could get a piece now, not necessarily one with an open request.
func (l *Ledger) HasWork(now time.Time) bool {
	return l.objects[Ready] > 0 || l.straggler(now, nil) != nil
}

// Lease gives the mapper a piece in answer to its request: one that must be handed out again, else a fresh one, else
// one in careful mode, else a backup attempt of a straggler. The mapper must have been heard before.
//
// Several leases in answer to one request are a grant; granted is how many pieces it has already. A suspect or a backup
// attempt is given only to an empty grant. A piece of more than most objects (0: no limit) is cut: the rest stays ready
// and comes next. A suspect is not cut, nor is a backup attempt.
func (l *Ledger) Lease(now time.Time, name string, request uint64, most, granted int) (Lease, bool) {
	m := l.mappers[name]
	if m == nil || m.careful > 0 {
		return Lease{}, false // if it vanishes, it must hold nothing but its careful piece
	}
	e, backup := l.nextReady(m, granted), false
	if e == nil && granted == 0 {
		e, backup = l.straggler(now, m), true
	}
	if e == nil {
		return Lease{}, false
	}
	l.forgetLoss(e, m) // first, because a piece that is no longer a suspect may be cut
	if !backup {
		if most > 0 && e.piece.Len() > most && !e.isSuspect() { // a mapper that survives other objects of a suspect is proven
			parts := (e.piece.Len() + most - 1) / most // parts of equal size, rather than a short one at the end
			l.queue(l.cut(e, e.piece.From+(e.piece.Len()+parts-1)/parts))
		}
		if e.handed > 0 {
			l.tally.Redelivered++
			l.reasons[e.why]++
		}
		e.handed++
	} else {
		l.tally.Backups++
	}
	careful := l.isCareful(e)
	l.addLease(now, e, lease{mapper: m, request: request, backup: backup, careful: careful})
	return Lease{
		Piece: e.piece, Attempt: e.attempt(), Suspect: e.isSuspect(), Careful: careful, Skip: slices.Clone(e.skip), Backup: backup,
	}, true
}

// nextReady returns the ready piece for m, or nil.
func (l *Ledger) nextReady(m *mapper, granted int) *entry {
	if e := l.top(&l.ready, false); e != nil {
		if granted > 0 && e.isSuspect() {
			return nil // it comes first in the next grant
		}
		l.ready.drop()
		return e
	}
	for l.fresh < l.added && (l.saved.has(l.fresh) || l.open[l.fresh] != nil) {
		l.fresh++
	}
	if l.fresh < l.added {
		l.fresh++
		return l.pieces(l.fresh - 1).list[0]
	}
	if len(m.holds)+m.others > 0 || m.saves == 0 && (l.proven > 0 || l.counts[InFlight] > 0) {
		return nil // see doc.go: the mapper must hold nothing else, and be proven if any mapper is or may soon be
	}
	if e := l.top(&l.careful, true); e != nil {
		l.careful.drop()
		return e
	}
	return nil
}

// top returns the first valid piece of a heap.
func (l *Ledger) top(heap *places, careful bool) *entry {
	for len(*heap) > 0 {
		if e := l.at((*heap)[0]); e != nil && e.state == Ready && l.isCareful(e) == careful {
			return e
		}
		heap.drop() // saved, adopted or moved to the other heap since
	}
	return nil
}

// addLease records a lease.
func (l *Ledger) addLease(now time.Time, e *entry, given lease) {
	delete(l.unconfirmed, e)
	e.unlistedBy = ""
	if e.state != InFlight {
		l.move(e, InFlight)
	}
	if len(e.leases) == 0 {
		l.flight.add(now, e)
	}
	if given.backup {
		l.backups++
	}
	if given.careful {
		given.mapper.careful++
	}
	given.since = now
	e.leases = append(e.leases, given)
	given.mapper.holds[e.piece] = e
}

// endLease removes the lease at index i of the piece. The caller sets the piece's state.
func (l *Ledger) endLease(e *entry, i int) {
	ended := e.leases[i]
	e.leases = slices.Delete(e.leases, i, i+1)
	ended.mapper.forget(e.piece)
	if ended.backup {
		l.backups--
	}
	if ended.careful {
		ended.mapper.careful--
	}
	if len(e.leases) == 0 {
		l.flight.remove(e)
	}
}

func (e *entry) hasBackup() bool {
	return slices.ContainsFunc(e.leases, func(l lease) bool { return l.backup })
}

// leaseOf returns the index of m's lease, or -1.
func (e *entry) leaseOf(m *mapper) int {
	return slices.IndexFunc(e.leases, func(l lease) bool { return l.mapper == m })
}
