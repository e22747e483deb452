package ledger

import (
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Outcome is the meaning of a confirmation.
type Outcome int

// The outcomes.
const (
	Acked     Outcome = iota // the first one
	Duplicate                // already saved
	Unknown                  // the chunk or its objects do not exist, or not yet
)

// String returns the outcome's name.
func (o Outcome) String() string { return [...]string{"acked", "duplicate", "unknown"}[o] }

// Confirmed is the effect of a confirmation.
type Confirmed struct {
	Outcome Outcome
	Mapper  string        // ID of the mapper of the result; "" if unknown
	Took    time.Duration // since its lease began; 0 if it has no lease any more
	Drop    []Holding     // pieces that can no longer be saved, with their mappers
}

// Saved records that the sink holds exactly these objects, from any attempt and however the ledger has cut the chunk
// since. A piece of the ledger that has other objects, too, is cut: its leases end, and the rest is ready again. by is
// the mapper of the result, known to the ledger or not; "" if it is unknown.
func (l *Ledger) Saved(now time.Time, p chunk.Piece, by string) Confirmed {
	switch {
	case p.Chunk >= l.added:
		return Confirmed{Outcome: Unknown}
	case l.saved.has(p.Chunk):
		l.tally.Duplicates++
		return Confirmed{Outcome: Duplicate}
	case !p.Fits(l.sizes.of(p.Chunk)):
		return Confirmed{Outcome: Unknown}
	}
	c := l.pieces(p.Chunk)
	if len(c.overlapping(p)) == 0 {
		l.tally.Duplicates++
		return Confirmed{Outcome: Duplicate}
	}
	confirmed := Confirmed{Outcome: Acked, Mapper: by}
	if e := l.find(p); e != nil {
		confirmed = l.endWithResult(now, e, by)
	}
	for open := c.overlapping(p); len(open) > 0; open = c.overlapping(p) {
		e := open[0]
		for len(e.leases) > 0 {
			confirmed.Drop = append(confirmed.Drop, Holding{e.leases[0].mapper.id, e.piece})
			l.endLease(e, 0)
			e.why = Lost
		}
		l.finish(l.keepRest(e, p))
	}
	l.credit(confirmed.Mapper)
	return confirmed
}

// endWithResult ends the lease whose result is saved. The piece has exactly the leased bounds.
func (l *Ledger) endWithResult(now time.Time, e *entry, by string) Confirmed {
	if by == "" {
		by = e.unlistedBy // mappers stop listing a piece once it is saved: credit the last one that did
	}
	confirmed := Confirmed{Outcome: Acked, Mapper: by}
	backup := by != "" && by == e.backupUnlistedBy
	if i := slices.IndexFunc(e.leases, func(l lease) bool { return l.mapper.id == by }); i >= 0 {
		confirmed.Took = max(0, now.Sub(e.leases[i].since))
		backup = e.leases[i].backup
		l.endLease(e, i)
	}
	if backup {
		l.tally.BackupWins++
	}
	if !e.since.IsZero() {
		l.durations.add(now.Sub(e.since) / time.Duration(e.piece.Len()))
	}
	return confirmed
}
