package ledger

import (
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

const (
	// A chunk is a straggler when it has been in flight for longer than
	// minStraggler and twice the median of the last chunks; at most one in
	// maxBackups of those in flight has a backup attempt. MapReduce (OSDI
	// 2004, §3.6) found a few per cent of extra work to save a third of the time.
	minStraggler = time.Second
	maxBackups   = 10
)

// A Lease is what a mapper is to be told of the chunk it gets.
type Lease struct {
	ID      chunk.ID
	Attempt int          // counts from 1; only vanished mappers count
	Careful bool         // announce each object before touching it
	Skip    []chunk.Flaw // objects not to touch, by index
	Backup  bool
}

// HasWork says whether some mapper could get a chunk now; it need not be one
// of those that ask.
func (l *Ledger) HasWork(now time.Time) bool {
	return l.counts[Ready] > 0 || l.straggler(now, nil) != nil
}

// Lease gives the mapper a chunk in answer to its request: one that must be
// handed out again, else a fresh one, else one in careful mode, else a backup
// attempt of a straggler. The mapper must have been heard before.
func (l *Ledger) Lease(now time.Time, name string, request uint64) (Lease, bool) {
	m := l.mappers[name]
	if m == nil || m.careful > 0 {
		return Lease{}, false // should it vanish, its careful chunk must be all it held
	}
	e, backup := l.nextReady(m), false
	if e == nil {
		e, backup = l.straggler(now, m), true
	}
	if e == nil {
		return Lease{}, false
	}
	if !backup {
		if e.handed > 0 {
			l.tally.Redelivered++
			l.reasons[e.why]++
		}
		e.handed++
	} else {
		l.tally.Backups++
	}
	e.forgetLoss(m)
	careful := l.isCareful(e)
	l.addLease(now, e, lease{mapper: m, request: request, backup: backup, careful: careful})
	return Lease{ID: e.id, Attempt: e.attempt(), Careful: careful, Skip: slices.Clone(e.skip), Backup: backup}, true
}

// nextReady finds the ready chunk that m should have, or nil.
func (l *Ledger) nextReady(m *mapper) *entry {
	if e := l.top(&l.again, false); e != nil {
		l.again.drop()
		return e
	}
	for l.fresh < l.added && (l.saved.has(l.fresh) || l.open[l.fresh] != nil) {
		l.fresh++
	}
	if l.fresh < l.added {
		l.fresh++
		return l.entry(l.fresh - 1)
	}
	if len(m.holds) > 0 || m.saves == 0 && (l.proven > 0 || l.counts[InFlight] > 0) {
		return nil // see doc.go: the mapper holds nothing else, and has proven itself if any has or may soon
	}
	if e := l.top(&l.careful, true); e != nil {
		l.careful.drop()
		return e
	}
	return nil
}

// top returns the first chunk of a heap that is really there.
func (l *Ledger) top(heap *ids, careful bool) *entry {
	for len(*heap) > 0 {
		if e := l.open[(*heap)[0]]; e != nil && e.state == Ready && l.isCareful(e) == careful {
			return e
		}
		heap.drop() // saved, adopted or moved to the other heap since
	}
	return nil
}

// straggler finds the chunk that has been in flight too long, has no backup
// attempt and is not held by m. With m nil it says whether there is any.
func (l *Ledger) straggler(now time.Time, m *mapper) *entry {
	if !l.cfg.Speculate || l.backups*maxBackups >= l.flight.Len() {
		return nil
	}
	late := l.late(now)
	if !l.excused.Before(late) {
		return nil
	}
	for element := l.flight.Front(); element != nil; element = element.Next() {
		e := element.Value.(*entry)
		if !e.since.Before(late) {
			return nil
		}
		if l.isCareful(e) || e.hasBackup() || m != nil && e.leaseOf(m) >= 0 {
			continue
		}
		return e
	}
	return nil
}

// addLease records a lease.
func (l *Ledger) addLease(now time.Time, e *entry, given lease) {
	delete(l.unconfirmed, e.id)
	e.unlistedBy = ""
	if e.state != InFlight {
		l.move(e, InFlight)
	}
	if len(e.leases) == 0 {
		e.since = now
		if last := l.flight.Back(); last != nil {
			e.since = later(now, last.Value.(*entry).since)
		}
		e.element = l.flight.PushBack(e)
	}
	if given.backup {
		l.backups++
	}
	if given.careful {
		given.mapper.careful++
	}
	given.since = now
	e.leases = append(e.leases, given)
	given.mapper.holds[e.id] = e
}

// endLease removes the lease at index i of the chunk. It leaves the chunk's
// state to the caller.
func (l *Ledger) endLease(e *entry, i int) {
	ended := e.leases[i]
	e.leases = slices.Delete(e.leases, i, i+1)
	ended.mapper.forget(e.id)
	if ended.backup {
		l.backups--
	}
	if ended.careful {
		ended.mapper.careful--
	}
	if len(e.leases) == 0 {
		l.flight.Remove(e.element)
		e.element = nil
	}
}

func (e *entry) hasBackup() bool {
	return slices.ContainsFunc(e.leases, func(l lease) bool { return l.backup })
}

// leaseOf returns the index of m's lease, or -1.
func (e *entry) leaseOf(m *mapper) int {
	return slices.IndexFunc(e.leases, func(l lease) bool { return l.mapper == m })
}
