package ledger

import (
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Oldest returns how long the oldest piece in flight has been in flight; 0 if there is none.
func (l *Ledger) Oldest(now time.Time) time.Duration {
	if oldest := l.flight.oldest(); oldest != nil {
		return max(0, now.Sub(oldest.since))
	}
	return 0
}

// ObjectTime returns the median time in flight per object of the last saved pieces; 0 if none was saved yet.
func (l *Ledger) ObjectTime() time.Duration { return l.durations.median }

// A Cell counts the chunks of a range by state, as Counts does.
type Cell struct {
	Ready    int
	InFlight int
	Saved    int
	Dead     int
	Share    float64 // fraction of their objects that are saved, 0 to 1, including those of partly saved chunks
}

// Map counts chunks by state in ranges of each chunks, from first on; each is at least 1. It takes a pass over the bits
// of the saved chunks in the ranges, and over the open chunks.
func (l *Ledger) Map(first chunk.ID, each, cells int) []Cell {
	m := make([]Cell, cells)
	objects, saved := make([]int, cells), make([]int, cells)
	span := chunk.ID(each)
	for i := range m {
		from := first + chunk.ID(i)*span
		to := min(from+span, l.added)
		if from >= to {
			break
		}
		for part, end := range l.sizes.runs(from, to) {
			chunks, whole := int(end-part.first), l.saved.count(part.first, end)
			m[i].Saved += whole
			m[i].Ready += chunks - whole
			objects[i] += chunks * part.objects
			saved[i] += whole * part.objects
		}
	}
	for id, c := range l.open {
		if id < first || (id-first)/span >= chunk.ID(cells) {
			continue
		}
		i := (id - first) / span
		saved[i] += l.sizes.of(id)
		for _, e := range c.list {
			saved[i] -= e.piece.Len()
		}
		switch c.state() {
		case InFlight:
			m[i].InFlight++
			m[i].Ready--
		case Dead:
			m[i].Dead++
			m[i].Ready--
		default: // ready, already counted
		}
	}
	for i := range m {
		if objects[i] > 0 {
			m[i].Share = float64(saved[i]) / float64(objects[i])
		}
	}
	return m
}

// A View is the state of a piece, for people.
type View struct {
	Piece   chunk.Piece
	State   State
	Attempt int           // the current or next attempt
	For     time.Duration // time in flight; 0: not in flight
	Mappers []string      // mappers that hold it, the backup attempt last
	Backup  bool          // one of them has it as a backup attempt
	Lost    []string      // mappers that vanished with it
}

// Look returns the state of a chunk and of its unsaved pieces, ascending; false if the chunk was not added.
func (l *Ledger) Look(now time.Time, id chunk.ID) (of State, all []View, added bool) {
	if id >= l.added {
		return 0, nil, false
	}
	whole := chunk.Whole(id, l.sizes.of(id))
	if l.saved.has(id) {
		return Saved, []View{{Piece: whole, State: Saved}}, true
	}
	c := l.open[id]
	if c == nil {
		return Ready, []View{{Piece: whole, State: Ready, Attempt: 1}}, true
	}
	savedUntil := func(to int) {
		from := 0
		if len(all) > 0 {
			from = all[len(all)-1].Piece.To
		}
		if from < to {
			all = append(all, View{Piece: chunk.Piece{Chunk: id, From: from, To: to}, State: Saved})
		}
	}
	for _, e := range c.list {
		savedUntil(e.piece.From)
		all = append(all, e.view(now))
	}
	savedUntil(whole.To)
	return c.state(), all, true
}

func (e *entry) view(now time.Time) View {
	v := View{Piece: e.piece, State: e.state, Attempt: e.attempt(), Backup: e.hasBackup()}
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

// Stragglers returns up to most pieces that have been in flight far longer than usual for their number of objects, the
// longest first.
func (l *Ledger) Stragglers(now time.Time, most int) []View {
	var late []*entry
	for _, lane := range l.flight.lanes {
		left := most
		for e := range lane.each(l.late(now, lane.objects)) {
			if left--; left < 0 {
				break
			}
			late = append(late, e)
		}
	}
	slices.SortStableFunc(late, func(a, b *entry) int { return a.since.Compare(b.since) })
	views := make([]View, 0, min(most, len(late)))
	for _, e := range late[:min(most, len(late))] {
		views = append(views, e.view(now))
	}
	return views
}
