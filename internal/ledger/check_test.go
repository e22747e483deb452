package ledger

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// check verifies every structural invariant. The tests call it after every step.
func (l *Ledger) check() error {
	for _, part := range []func() error{
		l.checkCounts, l.checkEntries, l.checkLeases, l.checkFlight, l.checkReady, l.checkMappers, l.checkBounds,
	} {
		if err := part(); err != nil {
			return fmt.Errorf("%w\n%s", err, l)
		}
	}
	return nil
}

// entries yields every entry.
func (l *Ledger) entries(yield func(*entry) bool) {
	for _, c := range l.open {
		for _, e := range c.list {
			if !yield(e) {
				return
			}
		}
	}
}

func (l *Ledger) checkCounts() error {
	var again uint64
	for _, n := range l.Redelivered() {
		again += n
	}
	if again != l.tally.Redelivered {
		return fmt.Errorf("redelivered by reason %v, %d in all", l.Redelivered(), l.tally.Redelivered)
	}
	var chunks, objects [states]int
	all := 0
	for id := range l.added {
		size := l.sizes.of(id)
		all += size
		c := l.open[id]
		switch {
		case c != nil:
			chunks[c.state()]++
			objects[Saved] += size
			for _, e := range c.list {
				objects[e.state] += e.piece.Len()
				objects[Saved] -= e.piece.Len() // objects without an entry are saved
			}
		case l.saved.has(id):
			chunks[Saved]++
			objects[Saved] += size
		default: // never handed out
			chunks[Ready]++
			objects[Ready] += size
		}
	}
	for word, b := range l.saved {
		if b != 0 && chunk.ID(word*64+bits.Len64(b)) > l.added {
			return fmt.Errorf("a chunk is saved that was not added: %d added, word %d is %x", l.added, word, b)
		}
	}
	if chunks != l.counts || objects != l.objects {
		return fmt.Errorf("counts are %v chunks and %v objects, entries and bitmap say %v and %v", l.counts, l.objects, chunks, objects)
	}
	if got := l.Remaining(); got != all-objects[Saved] {
		return fmt.Errorf("%d objects remain, %d of %d are saved", got, objects[Saved], all)
	}
	return nil
}

// checkEntries verifies that an object is in at most one entry, and that an entry is in flight
// if and only if it is leased or unconfirmed.
func (l *Ledger) checkEntries() error {
	for id, c := range l.open {
		if id >= l.added || l.saved.has(id) || len(c.list) == 0 {
			return fmt.Errorf("chunk %d is open: %d added, saved %t, %d entries", id, l.added, l.saved.has(id), len(c.list))
		}
		var in [states]int
		end := 0
		for _, e := range c.list {
			in[e.state]++
			if e.piece.Chunk != id || e.of != c || !e.piece.Fits(l.sizes.of(id)) || e.piece.From < end {
				return fmt.Errorf("entry %s of chunk %d, which has %d objects, begins before %d", e.piece, id, l.sizes.of(id), end)
			}
			end = e.piece.To
		}
		if in != c.in {
			return fmt.Errorf("chunk %d counts %v entries by state, there are %v", id, c.in, in)
		}
	}
	for e := range l.entries {
		_, unconfirmed := l.unconfirmed[e]
		leased := len(e.leases) > 0
		switch {
		case l.find(e.piece) != e || e.state == Saved:
			return fmt.Errorf("find of piece %s in state %s: %t", e.piece, e.state, l.find(e.piece) == e)
		case leased && unconfirmed:
			return fmt.Errorf("piece %s is leased and unconfirmed", e.piece)
		case (e.state == InFlight) != (leased || unconfirmed):
			return fmt.Errorf("piece %s is %s: leased %t, unconfirmed %t", e.piece, e.state, leased, unconfirmed)
		case leased != (e.element != nil):
			return fmt.Errorf("piece %s: leased %t, but in the list of pieces in flight %t", e.piece, leased, e.element != nil)
		case !slices.IsSortedFunc(e.skip, func(a, b chunk.Flaw) int { return cmp.Or(cmp.Compare(a.Index, b.Index), 1) }):
			return fmt.Errorf("piece %s skips %v: not ascending, or twice", e.piece, e.skip)
		}
		for _, f := range e.skip {
			if !e.piece.Has(f.Index) {
				return fmt.Errorf("piece %s skips object %d", e.piece, f.Index)
			}
		}
		seen := map[string]bool{}
		for _, s := range e.losses {
			if seen[s.mapper] {
				return fmt.Errorf("piece %s counts the loss of mapper %s twice", e.piece, s.mapper)
			}
			if s.object >= 0 && !e.piece.Has(s.object) {
				return fmt.Errorf("piece %s has evidence against object %d", e.piece, s.object)
			}
			seen[s.mapper] = true
		}
	}
	for e := range l.unconfirmed {
		if l.find(e.piece) != e {
			return fmt.Errorf("piece %s is unconfirmed without an entry", e.piece)
		}
	}
	return nil
}

func (l *Ledger) checkLeases() error {
	backups, leases := 0, 0
	for e := range l.entries {
		own := 0
		for i, given := range e.leases {
			m := given.mapper
			switch {
			case l.mappers[m.id] != m:
				return fmt.Errorf("piece %s is leased to mapper %s, which is unknown", e.piece, m.id)
			case m.holds[e.piece] != e:
				return fmt.Errorf("mapper %s does not hold piece %s that it has a lease of", m.id, e.piece)
			case e.leaseOf(m) != i:
				return fmt.Errorf("mapper %s has two leases of piece %s", m.id, e.piece)
			case given.backup:
				own++
			}
			leases++
		}
		if own > 1 {
			return fmt.Errorf("piece %s has %d backup attempts", e.piece, own)
		}
		backups += own
	}
	if backups != l.backups {
		return fmt.Errorf("backups are %d, leases say %d", l.backups, backups)
	}
	for _, m := range l.mappers {
		leases -= len(m.holds)
	}
	if leases != 0 {
		return fmt.Errorf("leases minus pieces held is %d, want 0", leases)
	}
	return nil
}

func (l *Ledger) checkFlight() error {
	listed := 0
	for i, lane := range l.flight.lanes {
		if i > 0 && lane.objects <= l.flight.lanes[i-1].objects || lane.list.Len() == 0 {
			return fmt.Errorf("lane %d has %d pieces of %d objects", i, lane.list.Len(), lane.objects)
		}
		var last *entry
		for element := lane.list.Front(); element != nil; element = element.Next() {
			e := element.Value.(*entry)
			if e.element != element || l.find(e.piece) != e || e.piece.Len() != lane.objects {
				return fmt.Errorf("lane of %d objects holds piece %s, which is not in flight", lane.objects, e.piece)
			}
			if last != nil && e.since.Before(last.since) {
				return fmt.Errorf("flight list: piece %s is before piece %s, which was handed out earlier", last.piece, e.piece)
			}
			last = e
			listed++
		}
	}
	leased := 0
	for e := range l.entries {
		if len(e.leases) > 0 {
			leased++
		}
	}
	if listed != leased || l.flight.count != leased {
		return fmt.Errorf("flight lists hold %d pieces, counted %d, %d are leased", listed, l.flight.count, leased)
	}
	return nil
}

// checkReady verifies that no ready piece can be forgotten.
func (l *Ledger) checkReady() error {
	for id := range l.fresh {
		if l.open[id] == nil && !l.saved.has(id) {
			return fmt.Errorf("chunk %d was never handed out and never will be: fresh is %d", id, l.fresh)
		}
	}
	for e := range l.entries {
		where := place{e.piece.Chunk, e.piece.From}
		switch {
		case e.state == Dead && l.cfg.MaxAttempts == 0:
			return fmt.Errorf("piece %s is dead without a limit of attempts", e.piece)
		case e.state != Ready:
		case l.isCareful(e) && !slices.Contains(l.careful, where):
			return fmt.Errorf("piece %s is ready for careful mode but not queued", e.piece)
		case !l.isCareful(e) && !slices.Contains(l.ready, where):
			return fmt.Errorf("piece %s is ready again but not queued", e.piece)
		}
	}
	for _, heap := range []places{l.ready, l.careful} {
		for i := 1; i < len(heap); i++ {
			if heap.Less(i, (i-1)/2) {
				return fmt.Errorf("heap is out of order at %d: %v", i, heap)
			}
		}
	}
	return nil
}

func (l *Ledger) checkMappers() error {
	proven := 0
	for id, m := range l.mappers {
		careful := 0
		for held, e := range m.holds {
			i := e.leaseOf(m)
			if l.find(held) != e || i < 0 {
				return fmt.Errorf("mapper %s holds piece %s without a lease", id, held)
			}
			if e.leases[i].careful {
				careful++
			}
		}
		switch {
		case m.id != id || m.element.Value.(*mapper) != m:
			return fmt.Errorf("mapper %s is known as %s", m.id, id)
		case m.careful != careful || careful > 1:
			return fmt.Errorf("mapper %s has %d careful leases, counted %d", id, careful, m.careful)
		case m.doing != nil && m.holds[m.doing.Piece] == nil:
			return fmt.Errorf("mapper %s does piece %s without holding it", id, m.doing.Piece)
		case m.survived && m.doing == nil:
			return fmt.Errorf("mapper %s survived an object, but announced none", id)
		case m.isProven():
			proven++
		}
	}
	if proven != l.proven {
		return fmt.Errorf("proven is %d, mappers say %d", l.proven, proven)
	}
	var last *mapper
	for element := l.byHeard.Front(); element != nil; element = element.Next() {
		m := element.Value.(*mapper)
		if l.mappers[m.id] != m || last != nil && m.heard.Before(last.heard) {
			return fmt.Errorf("byHeard is out of order at mapper %s", m.id)
		}
		last = m
	}
	if l.byHeard.Len() != len(l.mappers) {
		return fmt.Errorf("byHeard holds %d of %d mappers", l.byHeard.Len(), len(l.mappers))
	}
	return nil
}

func (l *Ledger) checkBounds() error {
	early := 0
	for id, of := range l.early.held {
		if id < l.added {
			return fmt.Errorf("chunk %d is added, but still in the list of early pieces", id)
		}
		early += len(of)
	}
	switch {
	case early != l.early.count || early > maxEarly:
		return fmt.Errorf("%d early pieces, counted %d", early, l.early.count)
	case len(l.gone.seq) > maxDeparted || len(l.gone.seq) != len(l.gone.order):
		return fmt.Errorf("%d departed in a ring of %d", len(l.gone.seq), len(l.gone.order))
	case len(l.durations.ring) > spanDurations:
		return fmt.Errorf("%d durations", len(l.durations.ring))
	}
	return nil
}
