package ledger

import (
	"container/list"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// State is the state of a piece.
type State int

// The states of a piece.
const (
	Ready    State = iota // waits for a mapper
	InFlight              // leased or unconfirmed
	Saved                 // the sink holds it; final
	Dead                  // crashed too many mappers; waits to be saved as dead letters
	states
)

// String returns the state's name.
func (s State) String() string {
	return [states]string{"ready", "in flight", "saved", "dead"}[s]
}

// Config is the ledger's rules. Zero values are meaningful.
type Config struct {
	SuspectAfter time.Duration // silence after which a mapper is asked directly
	GoneAfter    time.Duration // silence after which it has vanished
	CarefulAfter int           // mapper crashes allowed per piece before careful mode; 0: never careful
	MaxAttempts  int           // mapper crashes allowed per piece if no object is known to cause them; 0: no limit
	Speculate    bool          // give stragglers a backup attempt
}

// A Ledger tracks the pieces and mappers of one job.
type Ledger struct {
	cfg Config

	added   chunk.ID             // all chunks below it exist
	sizes   sizes                // how many objects each of them has
	fresh   chunk.ID             // no chunk below it waits to be handed out for the first time
	saved   bitmap               // completely saved chunks, by ID
	open    map[chunk.ID]*pieces // chunks that were handed out or are partly saved
	early   early
	counts  [states]int // chunks
	objects [states]int

	ready       places              // ready pieces of open chunks; may contain stale entries
	careful     places              // the same for pieces in careful mode
	unconfirmed map[*entry]struct{} // pieces whose last lease is over, to be looked up in the sink
	dead        []chunk.Piece       // not yet taken by TakeDead
	flight      flight              // pieces in flight with a lease
	backups     int                 // pieces with a backup attempt

	mappers map[string]*mapper
	byHeard *list.List // of *mapper, the longest silent one first
	proven  int        // mappers that have had a piece saved, and are not excluded
	gone    departed

	durations durations
	excused   time.Time // until then nothing could be saved
	tally     Tally
	reasons   [reasons]uint64 // counts of redelivered pieces
}

// Tally counts events of pieces. The numbers only grow.
type Tally struct {
	Redelivered uint64 // handed out again, backup attempts not counted
	Lost        uint64 // leases whose grant was lost, or that the mapper released
	Returned    uint64 // leases given back with a goodbye
	Vanished    uint64 // leases of mappers that vanished
	Backups     uint64 // backup attempts
	BackupWins  uint64 // backup attempts whose result was the first
	Duplicates  uint64 // confirmations of pieces that were already saved
	Skipped     uint64 // objects found to be poison
	Died        uint64 // pieces that crashed too many mappers
}

// Counts is how many chunks and objects are in each state, and the tally. A chunk that is not saved is in flight if one
// of its pieces is, else ready if one is.
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
		cfg: cfg, open: map[chunk.ID]*pieces{}, early: early{held: map[chunk.ID]map[chunk.Piece]string{}}, unconfirmed: map[*entry]struct{}{},
		mappers: map[string]*mapper{}, byHeard: list.New(), gone: departed{seq: map[string]uint64{}},
	}
}

// Add adds the next chunk, of at least one object. It is ready, except for the pieces that mappers have listed.
func (l *Ledger) Add(now time.Time, objects int) chunk.ID {
	return l.AddPartly(now, objects, nil)
}

// AddPartly adds the next chunk, some pieces of which the sink already holds. Pieces of other chunks, and of objects
// that the chunk does not have, are ignored.
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

// AddSaved adds the next chunk, all of which the sink holds.
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

// Done reports whether every added chunk is saved.
func (l *Ledger) Done() bool { return l.counts[Saved] == int(l.added) }

// IsSaved reports whether all objects of an added chunk are saved.
func (l *Ledger) IsSaved(id chunk.ID) bool { return l.saved.has(id) }

// Remaining returns how many objects were added and are not saved.
func (l *Ledger) Remaining() int { return l.objects[Ready] + l.objects[InFlight] + l.objects[Dead] }

// Counts returns the current numbers, in constant time.
func (l *Ledger) Counts() Counts {
	return Counts{
		Added: int(l.added), Ready: l.counts[Ready], InFlight: l.counts[InFlight], Saved: l.counts[Saved], Dead: l.counts[Dead],
		ReadyObjects: l.objects[Ready], SavedObjects: l.objects[Saved],
		Unconfirmed: len(l.unconfirmed), Mappers: len(l.mappers), Tally: l.tally,
	}
}

// String returns the whole ledger in one line.
func (l *Ledger) String() string {
	s := fmt.Sprintf("ready=%d inflight=%d unconfirmed=%d saved=%d dead=%d mappers=%d",
		l.counts[Ready], l.counts[InFlight], len(l.unconfirmed), l.counts[Saved], l.counts[Dead], len(l.mappers))
	if oldest := l.flight.oldest(); oldest != nil {
		s += fmt.Sprintf(" oldest=%s/%d", oldest.piece, oldest.attempt())
	}
	return s
}
