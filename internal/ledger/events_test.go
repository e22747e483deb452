package ledger

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// step maps the next object of one of the mapper's pieces, and saves the piece after its
// last object.
func (w *world) step(n *node, i int) {
	if n.dead || len(n.work) == 0 {
		return
	}
	held := n.work[i%len(n.work)]
	p := held.lease.Piece
	skipped := func(f chunk.Flaw) bool { return f.Index == held.index }
	for held.index < p.To && slices.ContainsFunc(held.lease.Skip, skipped) {
		held.index++
	}
	if held.index < p.To {
		if held.lease.Careful && !n.away {
			r := n.report()
			r.Doing = &Doing{Piece: p, Index: held.index}
			w.hear(n, r)
		}
		if n.broken || w.poison[p.Chunk][held.index] {
			n.dead = true
			w.deaths++
		}
		held.index++
		return
	}
	n.work = slices.DeleteFunc(n.work, func(other *work) bool { return other == held })
	w.commit(p, n.id)
}

// tell delivers confirmations; if again, it keeps them for another delivery.
func (w *world) tell(again bool) {
	for _, c := range w.confirmations {
		w.confirm(c)
	}
	if !again {
		w.confirmations = nil
	}
}

// confirm tells the ledger that a piece is saved. The ledger must return every lease that
// overlaps the piece, except that of the mapper whose result it is.
func (w *world) confirm(c confirmation) {
	confirmed := w.ledger.Saved(w.now, c.piece, c.by)
	if confirmed.Outcome != Acked {
		return
	}
	want := w.overlapping(c.piece)
	for _, h := range want {
		w.disown(h.Piece, h.Mapper)
	}
	want = slices.DeleteFunc(want, func(h Holding) bool { return h == Holding{c.by, c.piece} })
	if slices.SortFunc(confirmed.Drop, compareHoldings); !slices.Equal(confirmed.Drop, want) {
		w.t.Fatalf("piece %s is saved by %s: got orders to drop %v, want %v", c.piece, c.by, confirmed.Drop, want)
	}
}

func compareHoldings(a, b Holding) int {
	return cmp.Or(a.Piece.Compare(b.Piece), strings.Compare(a.Mapper, b.Mapper))
}

// askSink asks the sink about unconfirmed pieces.
func (w *world) askSink() {
	for _, p := range w.ledger.Unconfirmed() {
		if owners := w.overlapping(p); len(owners) > 0 && w.ledger.find(p) != nil {
			w.t.Fatalf("piece %s is unconfirmed, although %v hold it", p, owners)
		}
		w.lookUp(p)
		w.ledger.NotSaved(p)
	}
}

// lookUp confirms the saved pieces that overlap a piece.
func (w *world) lookUp(p chunk.Piece) {
	for _, saved := range slices.Clone(w.sink[p.Chunk]) {
		if saved.Overlaps(p) {
			w.confirm(confirmation{saved, ""})
		}
	}
}

// saveDead saves dead pieces as dead letters. If the sink has only some of the objects, it
// looks up which.
func (w *world) saveDead() {
	for p, ok := w.ledger.TakeDead(); ok; p, ok = w.ledger.TakeDead() {
		if !w.commit(p, "fetcher") {
			w.lookUp(p)
		}
	}
}

// vanished records the objects that a vanished mapper held.
func (w *world) vanished(name string) {
	for _, p := range w.held(name) {
		w.disown(p, name)
		if w.lost[p.Chunk] == nil {
			w.lost[p.Chunk] = map[int]int{}
		}
		for i := p.From; i < p.To; i++ {
			w.lost[p.Chunk][i]++
		}
	}
	w.queue = slices.DeleteFunc(w.queue, func(a ask) bool { return a.node.id == name })
}

// unanswered is a ping of a mapper without responders (503).
func (w *world) unanswered(n *node) {
	if n.dead || n.away {
		want := w.held(n.id)
		if got := w.ledger.Vanish(n.id); !slices.Equal(got, want) {
			w.t.Fatalf("vanished mapper %s held %v, want %v", n.id, got, want)
		}
		w.vanished(n.id)
	}
}

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	heard := map[string]time.Time{}
	for name, m := range w.ledger.mappers {
		heard[name] = m.heard
	}
	suspects, gone := w.ledger.Expire(w.now)
	for _, name := range gone {
		if w.now.Sub(heard[name]) < w.ledger.cfg.GoneAfter {
			w.t.Fatalf("mapper %s was given up after %s, want at least %s", name, w.now.Sub(heard[name]), w.ledger.cfg.GoneAfter)
		}
		w.vanished(name)
	}
	for name, last := range heard {
		if w.now.Sub(last) >= w.ledger.cfg.GoneAfter && !slices.Contains(gone, name) {
			w.t.Fatalf("mapper %s was not given up after %s", name, w.now.Sub(last))
		}
	}
	for _, name := range suspects {
		if w.now.Sub(heard[name]) < w.ledger.cfg.SuspectAfter {
			w.t.Fatalf("mapper %s was suspected after %s, want at least %s", name, w.now.Sub(heard[name]), w.ledger.cfg.SuspectAfter)
		}
	}
}

func (w *world) goodbye(n *node) {
	if !n.dead && !n.away {
		n.work, n.open, n.dead = nil, nil, true
		r := n.report()
		r.Goodbye = true
		w.hear(n, r)
		w.queue = slices.DeleteFunc(w.queue, func(a ask) bool { return a.node == n })
	}
}

// finish runs rounds without faults until the job is done: requests are answered,
// results are saved and confirmed, the sink answers, and dead mappers are replaced.
// It fails if the job takes more rounds than given.
func (w *world) finish(rounds int) {
	for range rounds {
		for int(w.ledger.added) < w.chunks {
			w.add()
		}
		w.check()
		if w.ledger.Done() {
			return
		}
		w.pass(500 * time.Millisecond)
		for i, n := range w.nodes {
			if n.dead {
				w.unanswered(n)
				w.names++
				w.nodes[i] = &node{id: n.id + "'", workers: n.workers, broken: n.broken, excluded: n.excluded}
				continue
			}
			n.away, n.open = false, nil
			w.queue = slices.DeleteFunc(w.queue, func(a ask) bool { return a.node == n })
			w.beat(n)
		}
		w.tell(false)
		w.askSink()
		w.saveDead()
		for _, n := range w.nodes {
			for range n.workers {
				w.ask(n)
			}
		}
		for w.serve(true) {
			w.check()
		}
		for i, n := range w.nodes {
			for j := range (n.workers + 3) * (w.objects + 1) {
				w.step(n, i+j)
			}
		}
	}
	w.t.Fatalf("not done after %d rounds: %s; %+v", rounds, w.ledger, w.ledger.Counts().Tally)
}
