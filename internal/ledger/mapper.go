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
	heard    time.Time     // its last sign of life
	element  *list.Element // in byHeard
	asked    bool          // it was silent and has been asked directly
	holds    map[chunk.ID]*entry
	careful  int // how many of them in careful mode: 0 or 1
	saves    int // its chunks that were saved
	excluded bool

	doing    *Doing // the object it announced last
	survived bool   // it has announced another object of the same chunk before
}

// Exclude sets whether the mapper gets no chunks: its version is at its share,
// its circuit breaker is open, or it is a shadow. A chunk that waits for a
// proven mapper does not wait for an excluded one.
func (l *Ledger) Exclude(name string, excluded bool) {
	m := l.mappers[name]
	if m == nil || m.excluded == excluded {
		return
	}
	m.excluded = excluded
	switch {
	case m.saves == 0:
	case excluded:
		l.proven--
	default:
		l.proven++
	}
}

// isProven reports whether the mapper has had a chunk saved and may get another.
func (m *mapper) isProven() bool { return m.saves > 0 && !m.excluded }

// credit notes that a mapper, if it is still known, has had a chunk saved.
func (l *Ledger) credit(name string) {
	m := l.mappers[name]
	if m == nil {
		return
	}
	was := m.isProven()
	m.saves++
	if !was && m.isProven() {
		l.proven++
	}
}

// Holds returns how many chunks the mapper holds.
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
