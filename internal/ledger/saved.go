package ledger

import (
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Outcome is what a confirmation meant.
type Outcome int

// What a confirmation can mean.
const (
	Acked     Outcome = iota // the first one
	Duplicate                // saved already
	Unknown                  // no such chunk, or not yet
)

// String returns the outcome's name.
func (o Outcome) String() string { return [...]string{"acked", "duplicate", "unknown"}[o] }

// Confirmed is what followed from a confirmation.
type Confirmed struct {
	Outcome Outcome
	Mapper  string        // whose result it is; "" if that is unknown
	Took    time.Duration // since its lease began; 0 if it holds none any more
	Others  []string      // other mappers that hold it, and can drop it
}

// Saved notes that the sink holds a chunk, from whatever attempt. By is the
// mapper whose result it is, known to the ledger or not; "" if that was not said.
func (l *Ledger) Saved(now time.Time, id chunk.ID, by string) Confirmed {
	switch {
	case id >= l.added:
		return Confirmed{Outcome: Unknown}
	case l.saved.has(id):
		l.tally.Duplicates++
		return Confirmed{Outcome: Duplicate}
	}
	e := l.entry(id)
	if by == "" {
		by = e.unlistedBy // mappers stop listing a chunk once it is saved: credit the last one that did
	}
	confirmed := Confirmed{Outcome: Acked, Mapper: by}
	backup := by != "" && by == e.backupUnlistedBy
	for len(e.leases) > 0 {
		switch ended := e.leases[0]; {
		case ended.mapper.id != by:
			confirmed.Others = append(confirmed.Others, ended.mapper.id)
		default:
			confirmed.Took = max(0, now.Sub(ended.since))
			backup = ended.backup
		}
		l.endLease(e, 0)
	}
	if backup {
		l.tally.BackupWins++
	}
	l.credit(by)
	if !e.since.IsZero() {
		l.durations.add(now.Sub(e.since))
	}
	l.move(e, Saved)
	l.saved.set(id)
	delete(l.unconfirmed, id)
	delete(l.open, id)
	return confirmed
}
