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

func (l *Ledger) checkCounts() error {
	var again uint64
	for _, n := range l.Redelivered() {
		again += n
	}
	if again != l.tally.Redelivered {
		return fmt.Errorf("redelivered by reason %v, %d in all", l.Redelivered(), l.tally.Redelivered)
	}
	var want [states]int
	for _, e := range l.open {
		want[e.state]++
	}
	for word, b := range l.saved {
		want[Saved] += bits.OnesCount64(b)
		if b != 0 && chunk.ID(word*64+bits.Len64(b)) > l.added {
			return fmt.Errorf("a chunk is saved that was not added: %d added, word %d is %x", l.added, word, b)
		}
	}
	want[Ready] += int(l.added) - want[Saved] - len(l.open) // never handed out: no entry
	if want != l.counts {
		return fmt.Errorf("counts are %v, entries and bitmap say %v", l.counts, want)
	}
	return nil
}

func (l *Ledger) checkEntries() error {
	for id, e := range l.open {
		_, unconfirmed := l.unconfirmed[id]
		leased := len(e.leases) > 0
		switch {
		case e.id != id || id >= l.added || l.saved.has(id) || e.state == Saved:
			return fmt.Errorf("chunk %d has an entry of chunk %d, %s", id, e.id, e.state)
		case (e.state == InFlight) != (leased != unconfirmed):
			return fmt.Errorf("chunk %d is %s: leased %t, unconfirmed %t", id, e.state, leased, unconfirmed)
		case leased && unconfirmed:
			return fmt.Errorf("chunk %d is leased and unconfirmed", id)
		case leased != (e.element != nil):
			return fmt.Errorf("chunk %d: leased %t, in flight list %t", id, leased, e.element != nil)
		case !slices.IsSortedFunc(e.skip, func(a, b chunk.Flaw) int { return cmp.Or(cmp.Compare(a.Index, b.Index), 1) }):
			return fmt.Errorf("chunk %d skips %v: not ascending, or twice", id, e.skip)
		}
		seen := map[string]bool{}
		for _, s := range e.losses {
			if seen[s.mapper] {
				return fmt.Errorf("chunk %d counts the loss of mapper %s twice", id, s.mapper)
			}
			seen[s.mapper] = true
		}
	}
	for id := range l.unconfirmed {
		if l.open[id] == nil {
			return fmt.Errorf("chunk %d is unconfirmed without an entry", id)
		}
	}
	return nil
}

func (l *Ledger) checkLeases() error {
	backups, leases := 0, 0
	for id, e := range l.open {
		own := 0
		for i, given := range e.leases {
			m := given.mapper
			switch {
			case l.mappers[m.id] != m:
				return fmt.Errorf("chunk %d is leased to mapper %s, who is not here", id, m.id)
			case m.holds[id] != e:
				return fmt.Errorf("mapper %s does not hold chunk %d that it has a lease of", m.id, id)
			case e.leaseOf(m) != i:
				return fmt.Errorf("mapper %s has two leases of chunk %d", m.id, id)
			case given.backup:
				own++
			}
			leases++
		}
		if own > 1 {
			return fmt.Errorf("chunk %d has %d backup attempts", id, own)
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
		return fmt.Errorf("there are %d more leases than chunks held", leases)
	}
	return nil
}

func (l *Ledger) checkFlight() error {
	var last *entry
	listed := 0
	for element := l.flight.Front(); element != nil; element = element.Next() {
		e := element.Value.(*entry)
		if e.element != element || l.open[e.id] != e {
			return fmt.Errorf("flight list holds chunk %d, which is not in flight", e.id)
		}
		if last != nil && e.since.Before(last.since) {
			return fmt.Errorf("flight list: chunk %d is before chunk %d, which is out for longer", last.id, e.id)
		}
		last = e
		listed++
	}
	if want := l.counts[InFlight] - len(l.unconfirmed); listed != want {
		return fmt.Errorf("flight list holds %d chunks, %d are leased", listed, want)
	}
	return nil
}

// checkReady verifies that no ready chunk can be forgotten.
func (l *Ledger) checkReady() error {
	for id := chunk.ID(0); id < l.added; id++ {
		e := l.open[id]
		switch {
		case l.saved.has(id) || e != nil && e.state != Ready:
		case e == nil && id < l.fresh:
			return fmt.Errorf("chunk %d was never handed out, and will not be: fresh is %d", id, l.fresh)
		case e != nil && l.isCareful(e) && !slices.Contains(l.careful, id):
			return fmt.Errorf("chunk %d is ready for careful mode but not queued", id)
		case e != nil && !l.isCareful(e) && !slices.Contains(l.again, id):
			return fmt.Errorf("chunk %d is ready again but not queued", id)
		}
	}
	for _, heap := range []ids{l.again, l.careful} {
		for i := 1; i < len(heap); i++ {
			if heap.Less(i, (i-1)/2) {
				return fmt.Errorf("heap is out of order at %d: %v", i, heap)
			}
		}
	}
	for id, e := range l.open {
		if e.state == Dead && l.cfg.MaxAttempts == 0 {
			return fmt.Errorf("chunk %d died without a limit of attempts", id)
		}
	}
	for _, id := range l.dead {
		if e := l.open[id]; !l.saved.has(id) && (e == nil || e.state != Dead) {
			return fmt.Errorf("chunk %d is queued as dead and is not", id)
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
			if l.open[held] != e || i < 0 {
				return fmt.Errorf("mapper %s holds chunk %d without a lease", id, held)
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
		case m.doing != nil && m.holds[m.doing.Chunk] == nil:
			return fmt.Errorf("mapper %s does chunk %d without holding it", id, m.doing.Chunk)
		case m.survived && m.doing == nil:
			return fmt.Errorf("mapper %s survived nothing", id)
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
	for id := range l.early {
		if id < l.added {
			return fmt.Errorf("chunk %d is early and added", id)
		}
	}
	switch {
	case len(l.early) > maxEarly:
		return fmt.Errorf("%d early chunks", len(l.early))
	case len(l.gone.seq) > maxDeparted || len(l.gone.seq) != len(l.gone.order):
		return fmt.Errorf("%d departed in a ring of %d", len(l.gone.seq), len(l.gone.order))
	case len(l.durations.ring) > spanDurations:
		return fmt.Errorf("%d durations", len(l.durations.ring))
	}
	return nil
}
