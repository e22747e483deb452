package ledger

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
)

// world is a ledger among a sink and mappers that work, die, pause and come
// back, with a simple model of what the ledger must and must not do.
type world struct {
	t      *rapid.T
	ledger *Ledger
	now    time.Time

	chunks  int // of the job
	objects int // of a chunk
	poison  map[chunk.ID]map[int]bool
	sink    map[chunk.ID]bool
	told    []told // confirmations on their way

	nodes []*node
	queue []ask // requests that wait, oldest first
	names int

	owners map[chunk.ID]map[string]bool // who has a lease
	lost   map[chunk.ID]int             // mappers that vanished with it
	deaths int                          // mappers that died of what they touched
	strict bool                         // mappers die of poison only: nothing else may be blamed
}

type ask struct {
	node *node
	seq  uint64
}

// node is a mapper process.
type node struct {
	id       string
	seq      uint64
	workers  int
	dead     bool
	away     bool // cut off or stopped; it says nothing
	broken   bool // it crashes on the first thing it touches
	excluded bool // it is given nothing
	open     []uint64
	work     []*work
}

// work is a chunk in a mapper's hands.
type work struct {
	lease Lease
	index int // of the next object
}

func newWorld(t *rapid.T, cfg Config, chunks, objects int) *world {
	w := &world{t: t, now: time.Unix(0, 0), chunks: chunks, objects: objects, sink: map[chunk.ID]bool{}, poison: map[chunk.ID]map[int]bool{}}
	w.restart(cfg)
	return w
}

// told says that a chunk is saved, and whose result told so.
type told struct {
	id chunk.ID
	by string
}

// restart is a new fetcher, who asks the sink and has heard no mapper yet.
func (w *world) restart(cfg Config) {
	w.ledger = New(cfg)
	w.queue = nil
	w.owners, w.lost = map[chunk.ID]map[string]bool{}, map[chunk.ID]int{}
}

func (w *world) check() {
	if err := w.ledger.check(); err != nil {
		w.t.Fatal(err)
	}
	for id := range w.ledger.added {
		if w.ledger.saved.has(id) && !w.sink[id] {
			w.t.Fatalf("chunk %d counts as saved, the sink does not hold it", id)
		}
	}
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
	switch {
	case int(id) >= w.chunks:
	case w.sink[id]:
		w.ledger.AddSaved()
	default:
		w.ledger.Add(w.now)
		if e := w.ledger.open[id]; e != nil {
			w.own(id, e.leases[0].mapper.id)
		}
	}
}

func (w *world) own(id chunk.ID, name string) {
	if w.owners[id] == nil {
		w.owners[id] = map[string]bool{}
	}
	w.owners[id][name] = true
}

// report is what the mapper would say now.
func (n *node) report() Report {
	n.seq++
	r := Report{Mapper: n.id, Seq: n.seq, Asking: slices.Clone(n.open)}
	for _, held := range n.work {
		r.Held = append(r.Held, held.lease.ID)
	}
	slices.Sort(r.Held)
	slices.Sort(r.Asking)
	return r
}

func (w *world) hear(n *node, r Report) {
	h := w.ledger.Hear(w.now, r)
	w.ledger.Exclude(n.id, n.excluded)
	for _, id := range h.Lost {
		if !w.owners[id][n.id] {
			w.t.Fatalf("mapper %s lost chunk %d, which was not its", n.id, id)
		}
		delete(w.owners[id], n.id)
	}
	if h.Stale || r.Goodbye {
		return
	}
	for _, id := range r.Held {
		if !slices.Contains(h.Drop, id) && id < w.ledger.added {
			w.own(id, n.id)
		}
	}
	n.work = slices.DeleteFunc(n.work, func(held *work) bool { return slices.Contains(h.Drop, held.lease.ID) })
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

// giveUp closes a mapper's oldest request: it waits no longer.
func (w *world) giveUp(n *node) {
	if len(n.open) > 0 {
		n.open = n.open[1:]
	}
}

// serve answers the oldest request that can be; it may get lost on the way.
func (w *world) serve(arrives bool) bool {
	for i, a := range w.queue {
		if a.node.excluded {
			continue
		}
		if given, ok := w.lease(a); ok {
			w.queue = slices.Delete(w.queue, i, i+1)
			open := slices.Index(a.node.open, a.seq)
			if open >= 0 && arrives && !a.node.dead && !a.node.away {
				a.node.open = slices.Delete(a.node.open, open, open+1)
				a.node.work = append(a.node.work, &work{lease: given})
			}
			return true
		}
	}
	return false
}

// lease leases, and compares the answer with the model.
func (w *world) lease(a ask) (Lease, bool) {
	had := w.ledger.HasWork(w.now)
	given, ok := w.ledger.Lease(w.now, a.node.id, a.seq)
	if !ok {
		return given, false
	}
	id := given.ID
	owners := w.owners[id]
	_, unconfirmed := w.ledger.unconfirmed[id]
	switch {
	case !had:
		w.t.Fatalf("chunk %d was handed out although there was no work", id)
	case w.ledger.saved.has(id) || unconfirmed:
		w.t.Fatalf("chunk %d was handed out: saved, or unconfirmed", id)
	case !given.Backup && len(owners) > 0:
		w.t.Fatalf("chunk %d was handed out while with %v", id, owners)
	case given.Backup && (len(owners) == 0 || owners[a.node.id]):
		w.t.Fatalf("mapper %s got a backup attempt of chunk %d, which is with %v", a.node.id, id, owners)
	case given.Attempt > 1+w.lost[id]:
		w.t.Fatalf("chunk %d: attempt %d, but %d mappers vanished with it", id, given.Attempt, w.lost[id])
	case given.Careful && len(w.held(a.node.id)) > 0:
		w.t.Fatalf("mapper %s got careful chunk %d while it holds %v", a.node.id, id, w.held(a.node.id))
	case given.Backup && given.Careful:
		w.t.Fatalf("chunk %d got a careful backup attempt", id)
	}
	for _, flaw := range given.Skip {
		if w.strict && !w.poison[id][flaw.Index] {
			w.t.Fatalf("object %d of chunk %d is innocent: %s", flaw.Index, id, flaw.Reason)
		}
	}
	w.own(id, a.node.id)
	return given, true
}

// held is what the model says that a mapper holds.
func (w *world) held(name string) []chunk.ID {
	var ids []chunk.ID
	for id, owners := range w.owners {
		if owners[name] {
			ids = append(ids, id)
		}
	}
	return ids
}
