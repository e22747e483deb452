package ledger

import (
	"container/list"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// State is where a piece is on its way.
type State int

// The states of a piece.
const (
	Ready    State = iota // waits for a mapper
	InFlight              // leased or unconfirmed
	Saved                 // the sink holds it; final
	Dead                  // took down too many mappers; waits to be saved as dead letters
	states
)

// String returns the state's name.
func (s State) String() string {
	return [states]string{"ready", "in flight", "saved", "dead"}[s]
}

// Config is the ledger's rules. The zero value of a field means what it says.
type Config struct {
	SuspectAfter time.Duration // silence after which a mapper is asked directly
	GoneAfter    time.Duration // silence after which it has vanished
	CarefulAfter int           // mappers that a piece may take down before careful mode; 0: never careful
	MaxAttempts  int           // mappers that it may take down without a culprit; 0: no limit
	Speculate    bool          // give stragglers a backup attempt
}

// A Ledger tracks the pieces and mappers of one job.
type Ledger struct {
	cfg Config

	added   chunk.ID             // chunks below it exist
	sizes   sizes                // how many objects each of them has
	fresh   chunk.ID             // no chunk below it waits to be handed out for the first time
	saved   bitmap               // chunks that are saved as a whole, by ID
	open    map[chunk.ID]*pieces // chunks that were handed out or are saved in part
	early   early
	counts  [states]int // chunks
	objects [states]int

	ready       places              // ready pieces of open chunks; may name some that are not ready any more
	careful     places              // the same for pieces in careful mode
	unconfirmed map[*entry]struct{} // their last lease is over, and the sink has not been asked yet
	dead        []chunk.Piece       // not yet taken by TakeDead
	flight      flight              // pieces in flight with a lease
	backups     int                 // of them have a backup attempt

	mappers map[string]*mapper
	byHeard *list.List // of *mapper, the longest silent first
	proven  int        // mappers that have had a piece saved, and are not excluded
	gone    departed

	durations durations
	excused   time.Time // nothing could be saved before
	tally     Tally
	reasons   [reasons]uint64 // of what was redelivered
}

// Tally counts what happened to pieces. Each number only grows.
type Tally struct {
	Redelivered uint64 // handed out again, backup attempts not counted
	Lost        uint64 // leases whose grant was lost, or that their mapper released
	Returned    uint64 // leases given back with a goodbye
	Vanished    uint64 // leases of mappers that vanished
	Backups     uint64 // backup attempts
	BackupWins  uint64 // those whose result was the first
	Duplicates  uint64 // confirmations of pieces that were saved already
	Skipped     uint64 // objects found to be poison
	Died        uint64 // pieces that took down too many mappers
}

// Counts is how many chunks and objects are in each state, and what happened. A chunk
// that is not saved is in flight if a piece of it is, else ready if a piece of it is.
type Counts struct {
	Added, Ready, InFlight, Saved, Dead int // chunks
	ReadyObjects, SavedObjects          int
	Unconfirmed                         int // pieces in flight
	Mappers                             int
	Tally
}

// New returns an empty ledger.
func New(cfg Config) *Ledger {
	return &Ledger{
		cfg: cfg, open: map[chunk.ID]*pieces{}, early: newEarly(), unconfirmed: map[*entry]struct{}{},
		mappers: map[string]*mapper{}, byHeard: list.New(), gone: newDeparted(),
	}
}

// Add adds the next chunk, of at least one object. It is ready, except for the pieces
// that mappers have said that they hold.
func (l *Ledger) Add(now time.Time, objects int) chunk.ID {
	return l.AddPartly(now, objects, nil)
}

// AddPartly adds the next chunk, of which the sink holds some pieces already. Those
// of other chunks, and of objects that the chunk does not have, are ignored.
func (l *Ledger) AddPartly(now time.Time, objects int, saved []chunk.Piece) chunk.ID {
	id := l.added
	l.added++
	l.sizes.add(id, objects)
	l.counts[Ready]++
	l.objects[Ready] += objects
	for _, p := range saved {
		if p.Chunk != id || !p.Fits(objects) {
			continue
		}
		c := l.pieces(id)
		for open := c.overlapping(p); len(open) > 0; open = c.overlapping(p) {
			l.finish(l.keepRest(open[0], p))
		}
	}
	l.adoptEarly(now, id)
	return id
}

// AddSaved adds the next chunk, which the sink holds as a whole.
func (l *Ledger) AddSaved(objects int) chunk.ID {
	id := l.added
	l.added++
	l.sizes.add(id, objects)
	l.early.take(id)
	l.saved.set(id)
	l.counts[Saved]++
	l.objects[Saved] += objects
	return id
}

// Done says whether every added chunk is saved.
func (l *Ledger) Done() bool { return l.counts[Saved] == int(l.added) }

// IsSaved says whether all objects of an added chunk are saved.
func (l *Ledger) IsSaved(id chunk.ID) bool { return l.saved.has(id) }

// Remaining returns how many objects were added and are not saved.
func (l *Ledger) Remaining() int { return l.objects[Ready] + l.objects[InFlight] + l.objects[Dead] }

// Counts returns the numbers; it costs nothing.
func (l *Ledger) Counts() Counts {
	return Counts{
		Added: int(l.added), Ready: l.counts[Ready], InFlight: l.counts[InFlight], Saved: l.counts[Saved], Dead: l.counts[Dead],
		ReadyObjects: l.objects[Ready], SavedObjects: l.objects[Saved],
		Unconfirmed: len(l.unconfirmed), Mappers: len(l.mappers), Tally: l.tally,
	}
}

// String is the whole ledger in one line.
func (l *Ledger) String() string {
	s := fmt.Sprintf("ready=%d inflight=%d unconfirmed=%d saved=%d dead=%d mappers=%d",
		l.counts[Ready], l.counts[InFlight], len(l.unconfirmed), l.counts[Saved], l.counts[Dead], len(l.mappers))
	if oldest := l.flight.oldest(); oldest != nil {
		s += fmt.Sprintf(" oldest=%s/%d", oldest.piece, oldest.attempt())
	}
	return s
}
