package ledger

import (
	"container/list"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// State is where a chunk is on its way.
type State int

// The states of a chunk.
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
	CarefulAfter int           // mappers that a chunk may take down before careful mode; 0: never careful
	MaxAttempts  int           // mappers that it may take down without a culprit; 0: no limit
	Speculate    bool          // give stragglers a backup attempt
}

// A Ledger tracks the chunks and mappers of one job.
type Ledger struct {
	cfg Config

	added  chunk.ID            // chunks below it exist
	fresh  chunk.ID            // no chunk below it waits to be handed out for the first time
	saved  bitmap              // by ID
	open   map[chunk.ID]*entry // chunks that were handed out and are not saved
	early  map[chunk.ID]string // held by a mapper, but not yet added
	counts [states]int

	again       ids                   // ready again, by ID; may hold IDs that are not ready any more
	careful     ids                   // the same for chunks in careful mode
	unconfirmed map[chunk.ID]struct{} // their last lease is over, and the sink has not been asked yet
	dead        []chunk.ID            // not yet taken by TakeDead
	flight      *list.List            // of *entry in flight with a lease, the longest first
	backups     int                   // of them have a backup attempt

	mappers map[string]*mapper
	byHeard *list.List // of *mapper, the longest silent first
	proven  int        // mappers that have had a chunk saved, and are not excluded
	gone    departed

	durations durations
	excused   time.Time // no chunk could be saved before
	tally     Tally
	reasons   [reasons]uint64 // of what was redelivered
}

// Tally counts what happened. Each number only grows.
type Tally struct {
	Redelivered uint64 // chunks handed out again, backup attempts not counted
	Lost        uint64 // leases whose grant was lost, or that their mapper released
	Returned    uint64 // leases given back with a goodbye
	Vanished    uint64 // leases of mappers that vanished
	Backups     uint64 // backup attempts
	BackupWins  uint64 // those whose result was the first
	Duplicates  uint64 // confirmations of chunks that were saved already
	Skipped     uint64 // objects found to be poison
	Died        uint64 // chunks that took down too many mappers
}

// Counts is how many chunks are in each state, and what happened.
type Counts struct {
	Added, Ready, InFlight, Saved, Dead int
	Unconfirmed                         int // of those in flight
	Mappers                             int
	Tally
}

// New returns an empty ledger.
func New(cfg Config) *Ledger {
	return &Ledger{
		cfg: cfg, open: map[chunk.ID]*entry{}, early: map[chunk.ID]string{}, unconfirmed: map[chunk.ID]struct{}{},
		flight: list.New(), mappers: map[string]*mapper{}, byHeard: list.New(), gone: newDeparted(),
	}
}

// Add adds the next chunk. It is ready, or in flight if a mapper has said that
// it holds it.
func (l *Ledger) Add(now time.Time) chunk.ID {
	id := l.added
	l.added++
	l.counts[Ready]++
	if name, held := l.early[id]; held {
		delete(l.early, id)
		if m := l.mappers[name]; m != nil {
			l.addLease(now, l.entry(id), lease{mapper: m, request: m.seq})
		}
	}
	return id
}

// AddSaved adds the next chunk, which the sink holds already.
func (l *Ledger) AddSaved() chunk.ID {
	id := l.added
	l.added++
	delete(l.early, id)
	l.saved.set(id)
	l.counts[Saved]++
	return id
}

// Done says whether every added chunk is saved.
func (l *Ledger) Done() bool { return l.counts[Saved] == int(l.added) }

// Counts returns the numbers; it costs nothing.
func (l *Ledger) Counts() Counts {
	return Counts{
		Added: int(l.added), Ready: l.counts[Ready], InFlight: l.counts[InFlight], Saved: l.counts[Saved],
		Dead: l.counts[Dead], Unconfirmed: len(l.unconfirmed), Mappers: len(l.mappers), Tally: l.tally,
	}
}

// String is the whole ledger in one line.
func (l *Ledger) String() string {
	s := fmt.Sprintf("ready=%d inflight=%d unconfirmed=%d saved=%d dead=%d mappers=%d",
		l.counts[Ready], l.counts[InFlight], len(l.unconfirmed), l.counts[Saved], l.counts[Dead], len(l.mappers))
	if e := l.flight.Front(); e != nil {
		oldest := e.Value.(*entry)
		s += fmt.Sprintf(" oldest=%d/%d", oldest.id, oldest.attempt())
	}
	return s
}

// entry is what is known of a chunk that was handed out and is not saved.
type entry struct {
	id     chunk.ID
	state  State
	handed int // times it was handed out, backup attempts not counted

	leases           []lease
	since            time.Time     // of the first lease
	element          *list.Element // in flight; nil without a lease
	unlistedBy       string        // unconfirmed: the mapper that stopped listing it; "" if it left
	backupUnlistedBy string        // the mapper that stopped listing its backup attempt: most likely saved, and not confirmed yet
	why              Reason        // its last lease that was lost

	losses []loss
	skip   []chunk.Flaw // objects found to be poison
}

// loss is a mapper that vanished with the chunk and has not come back.
type loss struct {
	mapper string
	object int  // that it is evidence against: an index, noObject or nothing
	proven bool // its mapper has shown that it works: see doc.go
}

const (
	noObject = -1 // the chunk as a whole: it had announced no object of it
	nothing  = -2 // no evidence: not careful, not alone, or explained by an object found since
)

// lease is a mapper's temporary ownership of a chunk.
type lease struct {
	mapper  *mapper
	request uint64 // the number of the mapper's message that it answers
	since   time.Time
	backup  bool
	careful bool
}

// attempt is the number of the attempt that is under way, or comes next. Only
// a vanished mapper counts as an attempt that failed.
func (e *entry) attempt() int { return len(e.losses) + 1 }

// entry returns the chunk's entry, making one for a chunk that had none.
func (l *Ledger) entry(id chunk.ID) *entry {
	e := l.open[id]
	if e == nil {
		e = &entry{id: id, state: Ready}
		l.open[id] = e
	}
	return e
}

// move changes the chunk's state.
func (l *Ledger) move(e *entry, to State) {
	l.counts[e.state]--
	l.counts[to]++
	e.state = to
}

// isCareful says whether the chunk is to be handed out in careful mode.
func (l *Ledger) isCareful(e *entry) bool {
	return l.cfg.CarefulAfter > 0 && len(e.losses) >= l.cfg.CarefulAfter
}
