package ledger

import (
	"maps"
	"slices"
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
	Mapper  string        // whose result it is; "" if nobody knows
	Took    time.Duration // from the hand-out to it; 0 if it holds no lease any more
	Others  []string      // who else holds it, and can drop it
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
		by = e.giver // it gave the chunk up, and so it was for being saved
	}
	confirmed := Confirmed{Outcome: Acked, Mapper: by}
	backup := by != "" && by == e.gaveBackup
	for len(e.leases) > 0 {
		switch ended := e.leases[0]; {
		case ended.mapper.id != by:
			confirmed.Others = append(confirmed.Others, ended.mapper.id)
		default:
			confirmed.Took = max(0, now.Sub(ended.since))
			backup = ended.backup
		}
		l.unlend(e, 0)
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
	delete(l.doubts, id)
	delete(l.open, id)
	return confirmed
}

// credit notes that a mapper, if it is still there, has had a chunk saved.
func (l *Ledger) credit(name string) {
	m := l.mappers[name]
	if m == nil {
		return
	}
	was := m.isCredible()
	m.saves++
	if !was && m.isCredible() {
		l.credible++
	}
}

// Doubts lists the chunks that lost their last lease, by ID. Whether they go
// out again is for the sink to say: see Settle.
func (l *Ledger) Doubts() []chunk.ID {
	if len(l.doubts) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(l.doubts))
}

// Settle takes the sink's word that it does not hold a chunk in doubt: the
// chunk is ready again, or dead when it has cost too many mappers. If it is
// held or saved by now, the word is out of date and nothing changes.
func (l *Ledger) Settle(id chunk.ID) {
	if _, doubt := l.doubts[id]; !doubt {
		return
	}
	delete(l.doubts, id)
	e := l.open[id]
	switch {
	case l.isFatal(e):
		l.tally.Died++
		l.move(e, Dead)
		l.dead = append(l.dead, id)
	case l.isCareful(e):
		l.move(e, Ready)
		l.careful.add(id)
	default:
		l.move(e, Ready)
		l.again.add(id)
	}
}

// TakeDead returns a chunk that died and was not taken yet. It stays dead
// until it is saved, as dead letters or by a mapper that came back.
func (l *Ledger) TakeDead() (chunk.ID, bool) {
	for len(l.dead) > 0 {
		id := l.dead[0]
		l.dead = l.dead[1:]
		if !l.saved.has(id) {
			return id, true
		}
	}
	return 0, false
}
