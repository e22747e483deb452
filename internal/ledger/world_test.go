package ledger

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
)

// world is a ledger with a sink and mappers that work, die, pause and return, and
// a simple model of what the ledger must and must not do.
type world struct {
	t      *rapid.T
	ledger *Ledger
	now    time.Time

	chunks        int // of the job
	objects       int // of a chunk, see size
	poison        map[chunk.ID]map[int]bool
	sink          map[chunk.ID][]chunk.Piece // saved pieces
	confirmations []confirmation             // under way

	nodes  []*node
	queue  []ask // waiting requests, oldest first
	names  int
	grants []grantSize // of the next requests, in turn

	owners map[chunk.Piece]map[string]bool // mappers with a lease
	lost   map[chunk.ID]map[int]int        // number of mappers that vanished with an object
	deaths int                             // mappers that crashed on an object
	strict bool                            // only poison may be skipped
}

type ask struct {
	node *node
	seq  uint64
}

// grantSize bounds a grant.
type grantSize struct {
	pieces int
	most   int // objects of a piece; 0: no limit
}

// node is a mapper process.
type node struct {
	id       string
	seq      uint64
	workers  int
	dead     bool
	away     bool // disconnected or stopped
	broken   bool // it crashes on the first object
	excluded bool // it gets no work
	open     []uint64
	work     []*work
}

// work is a piece that a mapper works on.
type work struct {
	lease Lease
	index int // of the next object
}

// confirmation says that a piece is saved, and which mapper made the result.
type confirmation struct {
	piece chunk.Piece
	by    string
}

func newWorld(t *rapid.T, cfg Config, chunks, objects int) *world {
	w := &world{t: t, now: time.Unix(0, 0), chunks: chunks, objects: objects, sink: map[chunk.ID][]chunk.Piece{}, poison: map[chunk.ID]map[int]bool{}}
	for range rapid.IntRange(1, 5).Draw(t, "kinds of grants") {
		w.grants = append(w.grants, grantSize{
			pieces: rapid.IntRange(1, 4).Draw(t, "pieces of a grant"), most: rapid.IntRange(0, objects).Draw(t, "objects of a piece"),
		})
	}
	w.restart(cfg)
	return w
}

// size returns the number of objects of a chunk; every fourth chunk is smaller.
func (w *world) size(id chunk.ID) int {
	if id%4 == 3 {
		return max(1, w.objects-1)
	}
	return w.objects
}

// restart starts a new fetcher, which has heard no mapper yet.
func (w *world) restart(cfg Config) {
	w.ledger = New(cfg)
	w.queue = nil
	w.owners, w.lost = map[chunk.Piece]map[string]bool{}, map[chunk.ID]map[int]int{}
}

// check checks the ledger's invariants, and that all objects it counts as saved are in the sink.
func (w *world) check() {
	if err := w.ledger.check(); err != nil {
		w.t.Fatal(err)
	}
	for id := range w.ledger.added {
		_, pieces, _ := w.ledger.Look(w.now, id)
		for _, v := range pieces {
			for i := v.Piece.From; v.State == Saved && i < v.Piece.To; i++ {
				if !w.stored(id, i) {
					w.t.Fatalf("object %d of chunk %d counts as saved, but the sink does not hold it", i, id)
				}
			}
		}
	}
}

func (w *world) stored(id chunk.ID, object int) bool {
	return slices.ContainsFunc(w.sink[id], func(p chunk.Piece) bool { return p.Has(object) })
}

// commit saves a piece if the sink has none of its objects. If the sink then has all of them, it
// sends a confirmation and returns true.
func (w *world) commit(p chunk.Piece, by string) bool {
	stored := 0
	for i := p.From; i < p.To; i++ {
		if w.stored(p.Chunk, i) {
			stored++
		}
	}
	switch stored {
	case 0:
		w.sink[p.Chunk] = append(w.sink[p.Chunk], p)
	case p.Len(): // a duplicate
	default:
		return false
	}
	w.confirmations = append(w.confirmations, confirmation{p, by})
	return true
}

func (w *world) spawn(workers int, broken bool) *node {
	w.names++
	n := &node{id: fmt.Sprintf("m%d", w.names), workers: workers, broken: broken}
	w.nodes = append(w.nodes, n)
	return n
}

// add cuts the next chunk.
func (w *world) add() {
	id := w.ledger.added
	stored := 0
	for _, p := range w.sink[id] {
		stored += p.Len()
	}
	switch {
	case int(id) >= w.chunks:
		return
	case stored == w.size(id):
		w.ledger.AddSaved(w.size(id))
	default:
		w.ledger.AddPartly(w.now, w.size(id), w.sink[id])
	}
	for e := range w.ledger.entries {
		if e.piece.Chunk == id {
			for _, given := range e.leases {
				w.own(e.piece, given.mapper.id)
			}
		}
	}
}

func (w *world) own(p chunk.Piece, name string) {
	if w.owners[p] == nil {
		w.owners[p] = map[string]bool{}
	}
	w.owners[p][name] = true
}

// disown ends a lease.
func (w *world) disown(p chunk.Piece, name string) {
	delete(w.owners[p], name)
	if len(w.owners[p]) == 0 {
		delete(w.owners, p)
	}
}

// overlapping returns the leases that overlap a piece, ascending.
func (w *world) overlapping(p chunk.Piece) []Holding {
	var found []Holding
	for other, names := range w.owners {
		for name := range names {
			if other.Overlaps(p) {
				found = append(found, Holding{name, other})
			}
		}
	}
	slices.SortFunc(found, compareHoldings)
	return found
}

// report returns the mapper's next report.
func (n *node) report() Report {
	n.seq++
	r := Report{Mapper: n.id, Seq: n.seq, Asking: slices.Clone(n.open)}
	for _, held := range n.work {
		r.Held = append(r.Held, held.lease.Piece)
	}
	slices.SortFunc(r.Held, chunk.Piece.Compare)
	slices.Sort(r.Asking)
	return r
}

func (w *world) hear(n *node, r Report) {
	h := w.ledger.Hear(w.now, r)
	w.ledger.Exclude(n.id, n.excluded)
	for _, p := range h.Lost {
		if !w.owners[p][n.id] {
			w.t.Fatalf("mapper %s lost piece %s, of which it had no lease", n.id, p)
		}
		w.disown(p, n.id)
	}
	if h.Stale || r.Goodbye {
		return
	}
	for i, p := range r.Held {
		twice := i > 0 && p.Overlaps(r.Held[i-1])
		if !twice && !slices.Contains(h.Drop, p) && p.Chunk < w.ledger.added {
			w.heldBy(n, p)
		}
	}
	n.work = slices.DeleteFunc(n.work, func(held *work) bool { return slices.Contains(h.Drop, held.lease.Piece) })
}

// heldBy compares the ledger with the model after a mapper has listed a piece: the mapper must have a lease of it,
// unless leases of other pieces overlap it, or the ledger would have to join several pieces for it.
func (w *world) heldBy(n *node, p chunk.Piece) {
	adopted := slices.Contains(w.ledger.Held(n.id), p)
	others := slices.DeleteFunc(w.overlapping(p), func(h Holding) bool { return h.Piece == p })
	_, pieces, _ := w.ledger.Look(w.now, p.Chunk)
	apart := slices.ContainsFunc(pieces, func(v View) bool { return v.Piece.Overlaps(p) && !v.Piece.Contains(p) })
	switch {
	case adopted && len(others) > 0:
		w.t.Fatalf("mapper %s has a lease of %s, but others have leases too: %v", n.id, p, others)
	case !adopted && len(others) == 0 && !apart:
		w.t.Fatalf("mapper %s holds %s, but has no lease: %v", n.id, p, pieces)
	case adopted:
		w.own(p, n.id)
	}
}

func (w *world) beat(n *node) {
	if !n.dead && !n.away {
		w.hear(n, n.report())
	}
}

// ask sends a request if a worker of the mapper is free.
func (w *world) ask(n *node) {
	if n.dead || n.away || len(n.open)+len(n.work) >= n.workers {
		return
	}
	n.open = append(n.open, n.seq+1)
	w.hear(n, n.report())
	w.queue = append(w.queue, ask{n, n.seq})
}

// giveUp closes a mapper's oldest request.
func (w *world) giveUp(n *node) {
	if len(n.open) > 0 {
		n.open = n.open[1:]
	}
}

// serve answers the oldest request that can be answered; unless arrives, the answer is lost.
func (w *world) serve(arrives bool) bool {
	for i, a := range w.queue {
		if a.node.excluded {
			continue
		}
		if grant := w.grant(a); len(grant) > 0 {
			w.queue = slices.Delete(w.queue, i, i+1)
			open := slices.Index(a.node.open, a.seq)
			if open >= 0 && arrives && !a.node.dead && !a.node.away {
				a.node.open = slices.Delete(a.node.open, open, open+1)
				for _, given := range grant {
					a.node.work = append(a.node.work, &work{lease: given, index: given.Piece.From})
				}
			}
			return true
		}
	}
	return false
}

// grant leases as many pieces as the next grant may have.
func (w *world) grant(a ask) []Lease {
	size := w.grants[0]
	var grant []Lease
	for len(grant) < size.pieces {
		given, ok := w.lease(a, size.most, len(grant))
		if !ok {
			break
		}
		grant = append(grant, given)
		if given.Suspect {
			break
		}
	}
	if len(grant) > 0 {
		w.grants = append(w.grants[1:], size)
	}
	return grant
}

// lease leases a piece and compares the answer with the model.
func (w *world) lease(a ask, most, granted int) (Lease, bool) {
	had := w.ledger.HasWork(w.now)
	suspects := map[place]bool{}
	for e := range w.ledger.entries {
		suspects[place{e.piece.Chunk, e.piece.From}] = e.isSuspect()
	}
	given, ok := w.ledger.Lease(w.now, a.node.id, a.seq, most, granted)
	if !ok {
		return given, false
	}
	p := given.Piece
	owners := w.overlapping(p)
	switch {
	case !had:
		w.t.Fatalf("piece %s was handed out, but HasWork was false", p)
	case w.ledger.find(p) == nil || !slices.Contains(w.ledger.Held(a.node.id), p):
		w.t.Fatalf("piece %s was handed out, but it is saved or has no lease", p)
	case !given.Backup && len(owners) > 0:
		w.t.Fatalf("piece %s was handed out while %v held it", p, owners)
	case given.Backup && (len(w.owners[p]) == 0 || w.owners[p][a.node.id]):
		w.t.Fatalf("mapper %s got a backup attempt of piece %s, which %v hold", a.node.id, p, owners)
	case given.Careful && len(w.held(a.node.id)) > 0:
		w.t.Fatalf("mapper %s got careful piece %s while it holds %v", a.node.id, p, w.held(a.node.id))
	case given.Backup && given.Careful:
		w.t.Fatalf("piece %s got a careful backup attempt", p)
	case !given.Backup && !given.Suspect && most > 0 && p.Len() > most:
		w.t.Fatalf("piece %s was handed out, want at most %d objects", p, most)
	case granted > 0 && (given.Suspect || given.Backup):
		w.t.Fatalf("piece %s was added to a grant of %d: suspect %t, backup %t", p, granted, given.Suspect, given.Backup)
	case given.Careful && !given.Suspect || given.Suspect && !suspects[place{p.Chunk, p.From}]:
		w.t.Fatalf("piece %s: suspect %t, careful %t", p, given.Suspect, given.Careful)
	}
	for i := p.From; i < p.To; i++ {
		if vanished := w.lost[p.Chunk][i]; given.Attempt > 1+vanished {
			w.t.Fatalf("piece %s: attempt %d, but %d mappers vanished with object %d", p, given.Attempt, vanished, i)
		}
	}
	for _, flaw := range given.Skip {
		if w.strict && !w.poison[p.Chunk][flaw.Index] {
			w.t.Fatalf("object %d of chunk %d is skipped (%s), want only poison skipped", flaw.Index, p.Chunk, flaw.Reason)
		}
	}
	w.own(p, a.node.id)
	return given, true
}

// held returns the pieces that a mapper holds in the model, ascending.
func (w *world) held(name string) []chunk.Piece {
	var held []chunk.Piece
	for p, owners := range w.owners {
		if owners[name] {
			held = append(held, p)
		}
	}
	slices.SortFunc(held, chunk.Piece.Compare)
	return held
}
