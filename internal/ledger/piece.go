package ledger

import (
	"container/list"
	"slices"
	"sort"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// pieces is an open chunk: one that was handed out, or is partly saved.
type pieces struct {
	list []*entry    // ascending; the objects between them are saved
	in   [states]int // number of them in each state
}

// entry is a piece of an open chunk that is not saved.
type entry struct {
	piece  chunk.Piece
	of     *pieces
	state  State
	handed int // times it was handed out, backup attempts not counted

	leases           []lease
	since            time.Time     // of the first lease
	element          *list.Element // in flight; nil without a lease
	unlistedBy       string        // unconfirmed: the mapper that stopped listing it; "" if it left
	backupUnlistedBy string        // the mapper that stopped listing its backup attempt: most likely saved, and not confirmed yet
	why              Reason        // why its last lease was lost

	losses []loss
	skip   []chunk.Flaw // objects found to be poison
}

// loss is a mapper that vanished with the piece and has not come back.
type loss struct {
	mapper string
	object int  // the object that it is evidence against: an index, noObject or nothing
	proven bool // its mapper has shown that it works: see doc.go
}

const (
	noObject = -1 // the piece as a whole: the mapper had announced no object of it
	nothing  = -2 // no evidence: not careful, not alone, or explained by an object found since
)

// lease is a mapper's temporary ownership of a piece.
type lease struct {
	mapper  *mapper
	request uint64 // the number of the mapper's message that the lease answers
	since   time.Time
	backup  bool
	careful bool
}

// attempt returns the number of the current or next attempt. Only a vanished mapper counts as a failed attempt.
func (e *entry) attempt() int { return len(e.losses) + 1 }

// isSuspect reports whether a mapper vanished with the piece.
func (e *entry) isSuspect() bool { return len(e.losses) > 0 }

// isCareful reports whether the piece must be handed out in careful mode.
func (l *Ledger) isCareful(e *entry) bool {
	return l.cfg.CarefulAfter > 0 && len(e.losses) >= l.cfg.CarefulAfter
}

// state returns the state of the chunk: in flight if one of its pieces is, else ready if one is.
func (c *pieces) state() State {
	for _, s := range []State{InFlight, Ready, Dead} {
		if c.in[s] > 0 {
			return s
		}
	}
	return Saved
}

// from returns the index of the first piece that ends after an object.
func (c *pieces) from(object int) int {
	return sort.Search(len(c.list), func(i int) bool { return c.list[i].piece.To > object })
}

// overlapping returns the pieces that share objects with p, as a slice of the list.
func (c *pieces) overlapping(p chunk.Piece) []*entry {
	first := c.from(p.From)
	end := first
	for end < len(c.list) && c.list[end].piece.From < p.To {
		end++
	}
	return c.list[first:end]
}

// pieces returns an unsaved chunk, and opens it if it was never handed out.
func (l *Ledger) pieces(id chunk.ID) *pieces {
	c := l.open[id]
	if c == nil {
		c = new(pieces)
		c.list = []*entry{{piece: chunk.Whole(id, l.sizes.of(id)), of: c, state: Ready}}
		c.in[Ready] = 1
		l.open[id] = c
	}
	return c
}

// find returns the entry of exactly that piece, or nil.
func (l *Ledger) find(p chunk.Piece) *entry {
	if e := l.at(place{p.Chunk, p.From}); e != nil && e.piece == p {
		return e
	}
	return nil
}

// at returns the entry that begins at a place, or nil.
func (l *Ledger) at(where place) *entry {
	c := l.open[where.chunk]
	if c == nil {
		return nil
	}
	if i := c.from(where.object); i < len(c.list) && c.list[i].piece.From == where.object {
		return c.list[i]
	}
	return nil
}

// move changes the state of a piece.
func (l *Ledger) move(e *entry, to State) {
	l.counts[e.of.state()]--
	e.of.in[e.state]--
	e.of.in[to]++
	l.counts[e.of.state()]++
	l.objects[e.state] -= e.piece.Len()
	l.objects[to] += e.piece.Len()
	e.state = to
}

// finish removes a piece without a lease, because it is saved.
func (l *Ledger) finish(e *entry) {
	c := e.of
	l.move(e, Saved)
	c.in[Saved]-- // in counts open pieces only
	delete(l.unconfirmed, e)
	i := c.from(e.piece.From)
	c.list = slices.Delete(c.list, i, i+1)
	if len(c.list) == 0 {
		l.saved.set(e.piece.Chunk)
		delete(l.open, e.piece.Chunk)
	}
}

// queue makes a ready piece available to Lease.
func (l *Ledger) queue(e *entry) {
	where := place{e.piece.Chunk, e.piece.From}
	if l.isCareful(e) {
		l.careful.add(where)
	} else {
		l.ready.add(where)
	}
}

// cut cuts a piece without a lease in two, and returns the part from object at on. It is in the same state, but not
// queued. Evidence against an object goes to the part with that object; evidence against the piece as a whole, and the
// number of attempts, to both.
func (l *Ledger) cut(e *entry, at int) *entry {
	rest := *e
	rest.leases = nil // do not share e's memory
	e.piece.To, rest.piece.From = at, at
	for _, part := range []*entry{e, &rest} {
		part.unlistedBy, part.backupUnlistedBy = "", "" // the results that they stand for have other bounds
		part.losses = slices.Clone(part.losses)
		for i, s := range part.losses {
			if s.object >= 0 && !part.piece.Has(s.object) {
				part.losses[i].object = nothing
			}
		}
		part.skip = slices.DeleteFunc(slices.Clone(part.skip), func(f chunk.Flaw) bool { return !part.piece.Has(f.Index) })
	}
	c := e.of
	c.in[rest.state]++
	c.list = slices.Insert(c.list, c.from(at-1)+1, &rest)
	if _, unconfirmed := l.unconfirmed[e]; unconfirmed {
		l.unconfirmed[&rest] = struct{}{}
	}
	return &rest
}

// cutOut returns the entry of exactly this piece, whose objects are open; if necessary it cuts the piece out of one
// without a lease. It returns nil if that is not possible.
func (l *Ledger) cutOut(p chunk.Piece) *entry {
	e := l.pieces(p.Chunk).overlapping(p)[0]
	switch {
	case e.piece == p:
		return e
	case len(e.leases) > 0, !e.piece.Contains(p):
		return nil
	}
	if e.piece.From < p.From {
		left := e
		e = l.cut(left, p.From)
		l.keep(left)
	}
	if p.To < e.piece.To {
		l.keep(l.cut(e, p.To))
	}
	return e
}

// keep queues the remaining part of a piece if it is ready.
func (l *Ledger) keep(e *entry) {
	if e.state == Ready {
		l.queue(e)
	}
}

// keepRest cuts off the objects of a piece without a lease that are not in p, makes them ready again, and returns the
// part in p.
func (l *Ledger) keepRest(e *entry, p chunk.Piece) *entry {
	if e.piece.From < p.From {
		left := e
		e = l.cut(left, p.From)
		l.requeue(left)
	}
	if p.To < e.piece.To {
		l.requeue(l.cut(e, p.To))
	}
	return e
}
