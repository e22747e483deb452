package ledger

import (
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Oldest is how long the chunk that is longest in flight has been so; 0: none is.
func (l *Ledger) Oldest(now time.Time) time.Duration {
	if first := l.flight.Front(); first != nil {
		return max(0, now.Sub(first.Value.(*entry).since))
	}
	return 0
}

// Median is how long the last chunks were in flight; 0: none was saved yet.
func (l *Ledger) Median() time.Duration { return l.durations.median }

// A Cell counts the chunks of a range by state.
type Cell struct {
	Ready    int
	InFlight int
	Saved    int
	Dead     int
}

// Map counts chunks by state in ranges of each chunks, from first on; each is
// at least 1. It costs a pass over the bits of the saved chunks of the ranges, and over
// the chunks that were handed out and are not saved.
func (l *Ledger) Map(first chunk.ID, each, cells int) []Cell {
	m := make([]Cell, cells)
	span := chunk.ID(each)
	for i := range m {
		from := first + chunk.ID(i)*span
		to := min(from+span, l.added)
		if from >= to {
			break
		}
		m[i].Saved = l.saved.count(from, to)
		m[i].Ready = int(to-from) - m[i].Saved
	}
	for id, e := range l.open {
		if id < first || (id-first)/span >= chunk.ID(cells) {
			continue
		}
		c := &m[(id-first)/span]
		switch e.state {
		case InFlight:
			c.InFlight++
			c.Ready--
		case Dead:
			c.Dead++
			c.Ready--
		default: // ready, and counted so
		}
	}
	return m
}

// A View is what people may want to know of a chunk.
type View struct {
	ID      chunk.ID
	State   State
	Attempt int           // the one under way, or that comes next
	For     time.Duration // in flight; 0: it is not
	Mappers []string      // that hold it, the backup attempt last
	Backup  bool          // one of them has it as a backup attempt
	Lost    []string      // mappers that vanished with it
}

// Look tells what is known of a chunk; false if it was not added. Of a chunk that is
// saved nothing else is known.
func (l *Ledger) Look(now time.Time, id chunk.ID) (View, bool) {
	if id >= l.added {
		return View{}, false
	}
	v := View{ID: id}
	switch e := l.open[id]; {
	case e != nil:
		v = e.view(now)
	case l.saved.has(id):
		v.State = Saved
	default:
		v.Attempt = 1
	}
	return v, true
}

func (e *entry) view(now time.Time) View {
	v := View{ID: e.id, State: e.state, Attempt: e.attempt(), Backup: e.hasBackup()}
	if len(e.leases) > 0 {
		v.For = max(0, now.Sub(e.since))
	}
	for _, l := range e.leases {
		v.Mappers = append(v.Mappers, l.mapper.id)
	}
	for _, l := range e.losses {
		v.Lost = append(v.Lost, l.mapper)
	}
	return v
}

// Stragglers returns chunks that have been in flight far longer than others
// take, the longest first, at most as many as wanted.
func (l *Ledger) Stragglers(now time.Time, most int) []View {
	var late []View
	limit := l.late(now)
	if !l.excused.Before(limit) {
		return nil
	}
	for element := l.flight.Front(); element != nil && len(late) < most; element = element.Next() {
		e := element.Value.(*entry)
		if !e.since.Before(limit) {
			break
		}
		late = append(late, e.view(now))
	}
	return late
}

// Excuse tells that until now no chunk could be saved, whatever its mapper did:
// none is a straggler for that time.
func (l *Ledger) Excuse(now time.Time) { l.excused = now }

// late is since when a chunk must be in flight to be a straggler.
func (l *Ledger) late(now time.Time) time.Time {
	return now.Add(-max(minStraggler, 2*l.durations.median))
}
