package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// crashesToSkip is how many proven mappers must have vanished while mapping an object before it is skipped. One may
// have crashed for another reason; two rarely crash for other reasons while mapping the same object.
const crashesToSkip = 2

// announce records the object that m is about to touch. A mapper that announces a second object of the same piece has
// survived the first.
func (m *mapper) announce(d Doing) {
	m.survived = m.doing != nil && m.doing.Piece == d.Piece && (m.survived || m.doing.Index != d.Index)
	m.doing = &d
}

// forget removes a piece from m, and m's announcement about it.
func (m *mapper) forget(p chunk.Piece) {
	delete(m.holds, p)
	if m.doing != nil && m.doing.Piece == p {
		m.doing, m.survived = nil, false
	}
}

// suspect records the end of a mapper as evidence about a piece that it held. A mapper that also held other pieces may
// have crashed because of those. An announcement outside careful mode is not evidence, because any client could send
// it.
func (l *Ledger) suspect(e *entry, m *mapper, alone bool) {
	found := loss{mapper: m.id, object: nothing}
	switch {
	case !alone, !e.leases[e.leaseOf(m)].careful:
	case m.doing != nil && m.doing.Piece == e.piece:
		found.object, found.proven = m.doing.Index, m.saves > 0 || m.survived
	default:
		found.object, found.proven = noObject, m.saves > 0
	}
	e.losses = append(e.losses, found)
	if found.object < 0 || slices.ContainsFunc(e.skip, func(f chunk.Flaw) bool { return f.Index == found.object }) {
		return // only an older attempt touches an object that is already skipped
	}
	proven, all := e.evidence(found.object)
	if proven >= crashesToSkip || l.cfg.MaxAttempts > 0 && l.proven == 0 && all >= l.cfg.MaxAttempts {
		l.skipObject(e, chunk.Flaw{
			Index: found.object, Reason: fmt.Sprintf("%d mappers vanished while this object was in work", all),
		})
	}
}

// evidence counts the mappers that vanished while mapping the object; with noObject those that had announced no object
// of the piece.
func (e *entry) evidence(object int) (proven, all int) {
	for _, s := range e.losses {
		if s.object == object {
			all++
			if s.proven {
				proven++
			}
		}
	}
	return proven, all
}

// skipObject adds an object to those that mappers skip. It also explains the losses without an announced object.
func (l *Ledger) skipObject(e *entry, f chunk.Flaw) {
	for i := range e.losses {
		if e.losses[i].object == noObject {
			e.losses[i].object = nothing
		}
	}
	l.tally.Skipped++
	e.skip = append(e.skip, f)
	slices.SortFunc(e.skip, func(a, b chunk.Flaw) int { return cmp.Compare(a.Index, b.Index) })
}

// forgetLoss removes the evidence of m's end: m counted as vanished, and is back with the piece.
func (l *Ledger) forgetLoss(e *entry, m *mapper) {
	wasCareful := l.isCareful(e)
	e.losses = slices.DeleteFunc(e.losses, func(s loss) bool { return s.mapper == m.id })
	if e.state == Ready && wasCareful && !l.isCareful(e) {
		l.queue(e)
	}
}

// isFatal reports whether the piece has crashed too many mappers without an object to blame. While a proven mapper is
// alive, only proven ones count.
func (l *Ledger) isFatal(e *entry) bool {
	proven, all := e.evidence(noObject)
	if l.proven > 0 {
		all = proven
	}
	return l.cfg.MaxAttempts > 0 && all >= l.cfg.MaxAttempts
}
