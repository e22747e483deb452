package ledger

import (
	"container/list"
	"maps"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// enter adds a mapper.
func (l *Ledger) enter(id string) *mapper {
	m := &mapper{id: id, holds: map[chunk.Piece]*entry{}}
	m.element = l.byHeard.PushFront(m) // touch sets its time
	l.mappers[id] = m
	return m
}

// touch records a sign of life. Signs of life may arrive out of order; an older one counts as the latest.
func (l *Ledger) touch(now time.Time, m *mapper) {
	m.heard = later(now, l.byHeard.Back().Value.(*mapper).heard)
	m.asked = false
	l.byHeard.MoveToBack(m.element)
}

// Alive records that a mapper answered a ping.
func (l *Ledger) Alive(now time.Time, name string) {
	if m := l.mappers[name]; m != nil {
		l.touch(now, m)
	}
}

// Expire finds mappers that have been silent for too long. The caller pings each suspect once. Vanish has been called
// for the vanished ones.
func (l *Ledger) Expire(now time.Time) (suspects, vanished []string) {
	var next *list.Element
	for element := l.byHeard.Front(); element != nil; element = next {
		next = element.Next()
		m := element.Value.(*mapper)
		silence := now.Sub(m.heard)
		switch {
		case silence >= l.cfg.GoneAfter:
			l.Vanish(m.id)
			vanished = append(vanished, m.id)
		case silence < l.cfg.SuspectAfter:
			return suspects, vanished // the rest were heard later
		case !m.asked:
			m.asked = true
			suspects = append(suspects, m.id)
		}
	}
	return suspects, vanished
}

// Forgive counts as a sign of life from every mapper, for when the caller itself was paused or disconnected.
func (l *Ledger) Forgive(now time.Time) {
	for _, m := range l.mappers {
		m.heard, m.asked = later(now, m.heard), false
	}
}

// Vanish forgets a mapper that no longer answers, and counts its end against each of its pieces, which it returns.
func (l *Ledger) Vanish(name string) []chunk.Piece {
	m := l.mappers[name]
	if m == nil {
		return nil
	}
	alone := len(m.holds)+m.others == 1
	return l.leave(m, &l.tally.Vanished, Vanished, func(e *entry, m *mapper) {
		l.suspect(e, m, alone)
		l.loseLease(e, m)
	})
}

// leave forgets a mapper and ends its leases; it returns the pieces.
func (l *Ledger) leave(m *mapper, count *uint64, why Reason, end func(*entry, *mapper)) []chunk.Piece {
	held := slices.SortedFunc(maps.Keys(m.holds), chunk.Piece.Compare)
	for _, p := range held {
		*count++
		e := m.holds[p]
		e.why = why
		end(e, m)
	}
	l.byHeard.Remove(m.element)
	delete(l.mappers, m.id)
	if m.isProven() {
		l.proven--
	}
	l.gone.remember(m.id, m.seq)
	return held
}

// later returns the later of two times, because reports may arrive out of order.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
