package ledger

import (
	"container/list"
	"maps"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// mapper is the state of one mapper process.
type mapper struct {
	id       string
	seq      uint64        // of its last report
	heard    time.Time     // its last sign of life
	element  *list.Element // in byHeard
	asked    bool          // it was silent and has been pinged
	holds    map[chunk.Piece]*entry
	others   int // pieces in its last list that it has no lease of
	careful  int // how many of those it holds are in careful mode: 0 or 1
	saves    int // number of its saved pieces
	excluded bool

	doing    *Doing // the object it announced last
	survived bool   // it has announced another object of the same piece before
}

// Exclude sets whether the mapper gets no pieces: its version is at its share, its circuit breaker is open, or it is a
// shadow. A piece that waits for a proven mapper does not wait for an excluded one.
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

// isProven reports whether the mapper has had a piece saved and may get another.
func (m *mapper) isProven() bool { return m.saves > 0 && !m.excluded }

// credit counts a saved piece for a mapper, if it is still known.
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

// Holds returns how many pieces the mapper holds.
func (l *Ledger) Holds(name string) int {
	if m := l.mappers[name]; m != nil {
		return len(m.holds)
	}
	return 0
}

// Held returns the pieces that the mapper holds, ascending.
func (l *Ledger) Held(name string) []chunk.Piece {
	m := l.mappers[name]
	if m == nil {
		return nil
	}
	return slices.SortedFunc(maps.Keys(m.holds), chunk.Piece.Compare)
}
