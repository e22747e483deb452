package ledger

import (
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A Report is a mapper's state: lists, not deltas.
type Report struct {
	Mapper  string        // unique for each start of a mapper process
	Seq     uint64        // grows with every message of that process, from 1
	Held    []chunk.Piece // every piece it holds, ascending
	Asking  []uint64      // the Seq of each of its requests that is still open, ascending
	Doing   *Doing        // careful mode: the object it is about to touch
	Goodbye bool          // it holds nothing any more and leaves
}

// Doing names an object of a piece.
type Doing struct {
	Piece chunk.Piece
	Index int // of the object within the chunk, or Mapped
}

// Mapped is the Index of a Doing when no object of the piece is being mapped any more: a mapper that vanishes now did
// not crash because of an object.
const Mapped = nothing

// Heard is the effect of a report.
type Heard struct {
	Stale bool          // a later report was handled before; this one changed nothing
	Lost  []chunk.Piece // leases that the mapper does not have, ascending
	Drop  []chunk.Piece // pieces it holds whose results can no longer be saved
}

// Hear handles a mapper's report.
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
	m.others = 0
	for i, p := range r.Held {
		// A mapper may hold an object twice, if it went on with a piece that was cut meanwhile. Only the first piece is
		// examined, so a list of overlapping pieces costs no more than others.
		if twice := i > 0 && p.Overlaps(r.Held[i-1]); !twice && !l.confirm(now, m, r, p) {
			heard.Drop = append(heard.Drop, p)
		}
		if m.holds[p] == nil {
			m.others++
		}
	}
	if d := r.Doing; d != nil && m.holds[d.Piece] != nil {
		m.announce(*d)
	}
	return heard
}

// findLost ends the leases that the report shows to be lost. The sender determines the length of the lists, so they are
// searched, not scanned.
func (l *Ledger) findLost(m *mapper, r Report) []chunk.Piece {
	var lost []chunk.Piece
	for p, e := range m.holds {
		given := e.leases[e.leaseOf(m)].request
		if given >= r.Seq || contains(r.Asking, given) {
			continue
		}
		if _, held := slices.BinarySearchFunc(r.Held, p, chunk.Piece.Compare); !held {
			lost = append(lost, p)
			if e.leases[e.leaseOf(m)].backup {
				e.backupUnlistedBy = m.id
			}
		}
	}
	slices.SortFunc(lost, chunk.Piece.Compare)
	for _, p := range lost {
		l.tally.Lost++
		e := m.holds[p]
		l.loseLease(e, m)
		e.why = Lost
		if len(e.leases) == 0 {
			e.unlistedBy = m.id
		}
	}
	return lost
}

// confirm handles m's report that it holds a piece. It returns false if the piece can no longer be saved.
func (l *Ledger) confirm(now time.Time, m *mapper, r Report, p chunk.Piece) bool {
	switch {
	case m.holds[p] != nil:
		return true
	case p.Chunk >= l.added:
		l.early.add(p, m.id)
		return true
	}
	return l.adopt(now, m, r.Seq, p)
}

// adopt records a lease that is not known yet, because the fetcher was restarted or the mapper counted as vanished. If
// these objects are leased with other bounds, or are in several pieces, there is no lease, and the first result is
// saved. It returns false if the piece can no longer be saved, because objects of it are saved or dead.
func (l *Ledger) adopt(now time.Time, m *mapper, request uint64, p chunk.Piece) bool {
	if l.saved.has(p.Chunk) || !p.Fits(l.sizes.of(p.Chunk)) {
		return false
	}
	open := 0
	found := l.pieces(p.Chunk).overlapping(p)
	for _, e := range found {
		if e.state == Dead {
			return false
		}
		open += min(p.To, e.piece.To) - max(p.From, e.piece.From)
	}
	if open < p.Len() {
		return false
	}
	for _, e := range found {
		l.forgetLoss(e, m)
	}
	if e := l.cutOut(p); e != nil {
		l.addLease(now, e, lease{mapper: m, request: request})
	}
	return true
}

// adoptEarly adopts the pieces of a chunk that mappers listed before it was added.
func (l *Ledger) adoptEarly(now time.Time, id chunk.ID) {
	for _, held := range l.early.take(id) {
		if m := l.mappers[held.Mapper]; m != nil {
			held.Piece.To = min(held.Piece.To, l.sizes.of(id)) // the report may not say where the chunk ends
			l.adopt(now, m, m.seq, held.Piece)
		}
	}
}
