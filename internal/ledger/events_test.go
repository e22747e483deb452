package ledger

import (
	"maps"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// step maps the next object of one of the mapper's chunks, and saves the chunk
// when it was the last one. It returns the chunk if it was saved.
func (w *world) step(n *node, i int) (saved chunk.ID, done bool) {
	if n.dead || len(n.work) == 0 {
		return 0, false
	}
	held := n.work[i%len(n.work)]
	id := held.lease.ID
	skipped := func(f chunk.Flaw) bool { return f.Index == held.index }
	for held.index < w.objects && slices.ContainsFunc(held.lease.Skip, skipped) {
		held.index++
	}
	if held.index < w.objects {
		if held.lease.Careful && !n.away {
			r := n.report()
			r.Doing = &Doing{Chunk: id, Index: held.index}
			w.hear(n, r)
		}
		if n.broken || w.poison[id][held.index] {
			n.dead = true
			w.deaths++
		}
		held.index++
		return 0, false
	}
	n.work = slices.DeleteFunc(n.work, func(other *work) bool { return other == held })
	w.sink[id] = true
	w.told = append(w.told, told{id, n.id})
	return id, true
}

// tell delivers confirmations, and keeps them to be delivered again if again.
func (w *world) tell(again bool) {
	for _, c := range w.told {
		confirmed := w.ledger.Saved(w.now, c.id, c.by)
		delete(w.owners[c.id], c.by)
		owners := slices.Sorted(maps.Keys(w.owners[c.id]))
		if told := slices.Sorted(slices.Values(confirmed.Others)); confirmed.Outcome == Acked && !slices.Equal(told, owners) {
			w.t.Fatalf("chunk %d is saved by %s: %v are told, %v hold it", c.id, c.by, told, owners)
		}
		if c.id < w.ledger.added {
			delete(w.owners, c.id)
		}
	}
	if !again {
		w.told = nil
	}
}

// settle asks the sink about unconfirmed chunks.
func (w *world) settle() {
	for _, id := range w.ledger.Unconfirmed() {
		if len(w.owners[id]) > 0 {
			w.t.Fatalf("chunk %d is unconfirmed, and with %v", id, w.owners[id])
		}
		if w.sink[id] {
			w.ledger.Saved(w.now, id, "")
		} else {
			w.ledger.NotSaved(id)
		}
	}
}

// saveDead saves dead chunks as dead letters.
func (w *world) saveDead() {
	for id, ok := w.ledger.TakeDead(); ok; id, ok = w.ledger.TakeDead() {
		w.sink[id] = true
		w.told = append(w.told, told{id, "fetcher"})
	}
}

// vanished notes which chunks a mapper took down.
func (w *world) vanished(name string) {
	for id, owners := range w.owners {
		if owners[name] {
			delete(owners, name)
			w.lost[id]++
		}
	}
	w.queue = slices.DeleteFunc(w.queue, func(a ask) bool { return a.node.id == name })
}

// unanswered is a direct question that nobody answers: 503.
func (w *world) unanswered(n *node) {
	if n.dead || n.away {
		want := w.held(n.id)
		slices.Sort(want)
		if got := w.ledger.Vanish(n.id); !slices.Equal(got, want) {
			w.t.Fatalf("mapper %s took down %v, want %v", n.id, got, want)
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
			w.t.Fatalf("mapper %s was given up after %s", name, w.now.Sub(heard[name]))
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
			w.t.Fatalf("mapper %s was suspected after %s", name, w.now.Sub(heard[name]))
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

// finish lets everybody behave well until the job is done: requests are
// answered, results are saved and confirmed, the sink answers, and dead
// mappers are replaced. It fails if that takes more than the given rounds.
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
		w.settle()
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
			for j := range n.workers * (w.objects + 1) {
				w.step(n, i+j)
			}
		}
	}
	w.t.Fatalf("not done after %d rounds: %s; %+v", rounds, w.ledger, w.ledger.Counts().Tally)
}
