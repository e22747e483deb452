package ledger

import (
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// maxEarly bounds how many chunks that are not yet added can be held by
// mappers. It is far more than mappers hold when a fetcher restarts.
const maxEarly = 1 << 16

// A Report is what a mapper says of itself: lists, not deltas.
type Report struct {
	Mapper  string     // unique for each start of a mapper process
	Seq     uint64     // grows with every message of that process, from 1
	Held    []chunk.ID // every chunk it holds, ascending
	Asking  []uint64   // the Seq of each of its requests that is still open, ascending
	Doing   *Doing     // careful mode: the object it is about to touch
	Goodbye bool       // it holds nothing any more and leaves
}

// Doing names an object of a chunk.
type Doing struct {
	Chunk chunk.ID
	Index int // of the object, or Mapped
}

// Mapped is the Index of a Doing when no object of the chunk is in work any
// more: a mapper that vanishes now did not die of one.
const Mapped = nothing

// Heard is what followed from a report.
type Heard struct {
	Stale bool       // a later report was heard before; this one changed nothing
	Lost  []chunk.ID // leases that the mapper does not have, ascending
	Drop  []chunk.ID // chunks it holds that are saved or dead: it can drop them
}

// Hear takes a mapper's report.
func (l *Ledger) Hear(now time.Time, r Report) Heard {
	m := l.mappers[r.Mapper]
	switch {
	case m != nil && r.Seq <= m.seq, m == nil && r.Seq <= l.gone.seq[r.Mapper]:
		return Heard{Stale: true}
	case m == nil && r.Goodbye:
		l.gone.remember(r.Mapper, r.Seq)
		return Heard{}
	case m == nil:
		m = l.enter(r.Mapper)
	}
	m.seq = r.Seq
	l.touch(now, m)
	if r.Goodbye {
		return Heard{Lost: l.leave(m, &l.tally.Returned, Returned, l.loseLease)}
	}
	var heard Heard
	heard.Lost = l.findLost(m, r)
	for _, id := range r.Held {
		if !l.confirm(now, m, r, id) {
			heard.Drop = append(heard.Drop, id)
		}
	}
	if d := r.Doing; d != nil && m.holds[d.Chunk] != nil {
		m.announce(*d)
	}
	return heard
}

// findLost ends the leases that the report shows to be lost. A sender may make
// the lists as long as it likes, so they are searched, not scanned.
func (l *Ledger) findLost(m *mapper, r Report) []chunk.ID {
	var lost []chunk.ID
	for id, e := range m.holds {
		given := e.leases[e.leaseOf(m)].request
		if given < r.Seq && !contains(r.Asking, given) && !contains(r.Held, id) {
			lost = append(lost, id)
			if e.leases[e.leaseOf(m)].backup {
				e.backupUnlistedBy = m.id
			}
		}
	}
	slices.Sort(lost)
	for _, id := range lost {
		l.tally.Lost++
		e := l.open[id]
		l.loseLease(e, m)
		e.why = Lost
		if len(e.leases) == 0 {
			e.unlistedBy = m.id
		}
	}
	return lost
}

// confirm takes m's word that it holds a chunk, and adopts a lease that is not
// known yet. It returns false if the chunk is saved or dead.
func (l *Ledger) confirm(now time.Time, m *mapper, r Report, id chunk.ID) bool {
	if id >= l.added {
		if _, known := l.early[id]; known || len(l.early) < maxEarly {
			l.early[id] = m.id
		}
		return true
	}
	if l.saved.has(id) {
		return false
	}
	e := l.entry(id)
	if e.state == Dead {
		return false
	}
	if e.leaseOf(m) < 0 {
		e.forgetLoss(m)
		l.addLease(now, e, lease{mapper: m, request: r.Seq})
	}
	return true
}
