package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// witnesses is how many credible mappers an object must have taken down before
// it is skipped: machines die of other causes too, but hardly twice of one object.
const witnesses = 2

// announce notes the object that m is about to touch. To announce a second one
// of the same chunk is to have survived the first.
func (m *mapper) announce(d Doing) {
	m.survived = m.doing != nil && m.doing.Chunk == d.Chunk && (m.survived || m.doing.Index != d.Index)
	m.doing = &d
}

// forget ends what m has to do with a chunk: what it announced was of that lease.
func (m *mapper) forget(id chunk.ID) {
	delete(m.holds, id)
	if m.doing != nil && m.doing.Chunk == id {
		m.doing, m.survived = nil, false
	}
}

// Vanish gives a mapper up. Each of its chunks has cost a mapper.
func (l *Ledger) Vanish(name string) []chunk.ID {
	m := l.mappers[name]
	if m == nil {
		return nil
	}
	alone := len(m.holds) == 1
	return l.leave(m, &l.tally.Vanished, Vanished, func(e *entry, m *mapper) {
		l.suspect(e, m, alone)
		l.lose(e, m)
	})
}

// suspect draws conclusions from a mapper's end for a chunk that it held. A
// mapper that held other chunks too may have died of those, and what a mapper
// announced that was not told to says nothing: anybody could say so.
func (l *Ledger) suspect(e *entry, m *mapper, alone bool) {
	found := loss{mapper: m.id, object: nothing}
	switch {
	case !alone, !e.leases[e.leaseOf(m)].careful:
	case m.doing != nil && m.doing.Chunk == e.id:
		found.object, found.credible = m.doing.Index, m.saves > 0 || m.survived
	default:
		found.object, found.credible = noObject, m.saves > 0
	}
	e.losses = append(e.losses, found)
	if found.object < 0 || slices.ContainsFunc(e.skip, func(f chunk.Flaw) bool { return f.Index == found.object }) {
		return // an object that is skipped already is touched only by an older attempt
	}
	credible, all := e.evidence(found.object)
	if credible >= witnesses || l.cfg.MaxAttempts > 0 && l.credible == 0 && all >= l.cfg.MaxAttempts {
		l.condemn(e, chunk.Flaw{
			Index: found.object, Reason: fmt.Sprintf("%d mappers vanished while this object was in work", all),
		})
	}
}

// evidence counts the mappers that vanished with the object in work, or with
// the chunk and noObject.
func (e *entry) evidence(object int) (credible, all int) {
	for _, s := range e.losses {
		if s.object == object {
			all++
			if s.credible {
				credible++
			}
		}
	}
	return credible, all
}

// condemn puts an object on the list of those not to touch. It explains the
// losses of which nothing is known, too.
func (l *Ledger) condemn(e *entry, f chunk.Flaw) {
	for i := range e.losses {
		if e.losses[i].object == noObject {
			e.losses[i].object = nothing
		}
	}
	l.tally.Skipped++
	e.skip = append(e.skip, f)
	slices.SortFunc(e.skip, func(a, b chunk.Flaw) int { return cmp.Compare(a.Index, b.Index) })
}

// acquit takes back what the chunk is accused of because of m, which was given
// up and is there again, to go on with the chunk: it did not die of it.
func (e *entry) acquit(m *mapper) {
	e.losses = slices.DeleteFunc(e.losses, func(s loss) bool { return s.mapper == m.id })
}

// isFatal says whether the chunk has cost too many mappers, no object having
// been found to blame. While a mapper that works is alive, only such ones count.
func (l *Ledger) isFatal(e *entry) bool {
	credible, all := e.evidence(noObject)
	if l.credible > 0 {
		all = credible
	}
	return l.cfg.MaxAttempts > 0 && all >= l.cfg.MaxAttempts
}
