package ledger

import (
	"container/list"
	"maps"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// mapper is what is known of one mapper process.
type mapper struct {
	id       string
	seq      uint64        // of its last report
	heard    time.Time     // when it last gave a sign of life
	element  *list.Element // in byHeard
	asked    bool          // it was found silent and is to be asked directly
	holds    map[chunk.ID]*entry
	careful  int // how many of them in careful mode; more than one never
	saves    int // chunks of its that were saved
	excluded bool

	doing    *Doing // the object it announced last
	survived bool   // it announced another one of the same chunk before
}

// enter makes a mapper known.
func (l *Ledger) enter(id string) *mapper {
	m := &mapper{id: id, holds: map[chunk.ID]*entry{}}
	m.element = l.byHeard.PushFront(m) // not heard yet; touch follows
	l.mappers[id] = m
	return m
}

// touch notes a sign of life. It may have waited to be told while later ones,
// or Forgive, were told already: then it counts as theirs do.
func (l *Ledger) touch(now time.Time, m *mapper) {
	m.heard = later(now, l.byHeard.Back().Value.(*mapper).heard)
	m.asked = false
	l.byHeard.MoveToBack(m.element)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// leave forgets a mapper and ends its leases; it returns the chunks.
func (l *Ledger) leave(m *mapper, count *uint64, why Reason, end func(*entry, *mapper)) []chunk.ID {
	held := slices.Sorted(maps.Keys(m.holds))
	for _, id := range held {
		*count++
		l.open[id].why = why
		end(l.open[id], m)
	}
	l.byHeard.Remove(m.element)
	delete(l.mappers, m.id)
	if m.isCredible() {
		l.credible--
	}
	l.gone.remember(m.id, m.seq)
	return held
}

// Exclude says whether the mapper is kept from getting chunks: its version is at its
// share, its circuit breaker is open, or it is a shadow. A chunk that needs a
// witness does not wait for an excluded mapper.
func (l *Ledger) Exclude(name string, excluded bool) {
	m := l.mappers[name]
	if m == nil || m.excluded == excluded {
		return
	}
	m.excluded = excluded
	switch {
	case m.saves == 0:
	case excluded:
		l.credible--
	default:
		l.credible++
	}
}

// isCredible says whether the mapper has shown that it works, and may do so again.
func (m *mapper) isCredible() bool { return m.saves > 0 && !m.excluded }

// Alive notes that a mapper answered a direct question.
func (l *Ledger) Alive(now time.Time, name string) {
	if m := l.mappers[name]; m != nil {
		l.touch(now, m)
	}
}

// Expire finds mappers that have been silent for too long: suspects are to be
// asked directly, each once, and vanished ones are given up.
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
			return suspects, vanished // all behind it were heard later
		case !m.asked:
			m.asked = true
			suspects = append(suspects, m.id)
		}
	}
	return suspects, vanished
}

// Forgive counts as a sign of life from every mapper: the owner was away
// itself and could not hear them.
func (l *Ledger) Forgive(now time.Time) {
	for _, m := range l.mappers {
		m.heard, m.asked = later(now, m.heard), false
	}
}

// Holds says how many chunks the mapper holds.
func (l *Ledger) Holds(name string) int {
	if m := l.mappers[name]; m != nil {
		return len(m.holds)
	}
	return 0
}

// Held lists the chunks that the mapper holds, ascending.
func (l *Ledger) Held(name string) []chunk.ID {
	m := l.mappers[name]
	if m == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(m.holds))
}
