package fetcher

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/internal/bus"
)

// mapper is what people want to know of a mapper, and which of its requests
// are new.
type mapper struct {
	bus.Mapper
	heard time.Time
	saved uint64
	held  int  // chunks, when the last report was made
	pace  pace // of objects saved
	of    *version

	draining bool               // a beat of it said so
	mute     int                // objects that its transform has not answered, while it never has
	notice   string             // what is the matter with its transform; "": nothing
	refused  string             // why it may have no chunk for what it does to objects; "": it may
	version  string             // its label
	counter  prometheus.Counter // of what is saved by its version

	asking []uint64            // the requests that its latest report says are open, ascending
	taken  map[uint64]struct{} // those of them that have arrived
}

// note takes the time and the open requests of a report that is not stale.
func (m *mapper) note(now time.Time, asking []uint64) {
	m.heard, m.asking = now, asking
	maps.DeleteFunc(m.taken, func(seq uint64, _ struct{}) bool { return !contains(asking, seq) })
}

// contains says whether an ascending list, as the bus reads them, has seq. A
// list is as long as its sender likes, so it is searched, not scanned.
func contains(ascending []uint64, seq uint64) bool {
	_, has := slices.BinarySearch(ascending, seq)
	return has
}

// takes says whether a request is to be answered: it is open still, and this
// is its first copy.
func (m *mapper) takes(seq uint64) bool {
	if _, doubled := m.taken[seq]; doubled || !contains(m.asking, seq) {
		return false
	}
	m.taken[seq] = struct{}{}
	return true
}

func (m *mapper) state(now time.Time) bus.MapperState {
	switch {
	case now.Sub(m.heard) >= suspectAfter:
		return bus.MapperSilent
	case m.draining:
		return bus.MapperDraining
	case m.held > 0:
		return bus.MapperWorking
	}
	return bus.MapperIdle
}

// mapperList is what the status says of the mappers, by name in natural order.
func (d *coordinator) mapperList(now time.Time) []bus.MapperStatus {
	here := slices.SortedFunc(maps.Values(d.mappers), func(a, b *mapper) int {
		if by := naturally(a.Name, b.Name); by != 0 {
			return by
		}
		return strings.Compare(a.ID, b.ID)
	})
	late := map[string]bool{}
	for _, v := range d.ledger.Stragglers(now, bus.MaxStragglers) {
		late[v.Mappers[0]] = true
	}
	list := make([]bus.MapperStatus, len(here))
	each := make([]float64, len(here)) // objects a second of one worker
	var known []float64
	for i, m := range here {
		m.held = d.ledger.Holds(m.ID)
		list[i] = bus.MapperStatus{
			Mapper: m.Mapper, State: m.state(now), Held: m.held, Saved: m.saved, Rate: d.speed(now, &m.pace, m.held),
			Slow: late[m.ID], LastBeatSeconds: now.Sub(m.heard).Seconds(), Notice: m.notice,
		}
		if m.pace.known() {
			each[i] = list[i].Rate / float64(max(1, m.held+len(d.waiting.of[m.ID])))
			known = append(known, each[i])
		}
	}
	if len(known) > 0 && now.Sub(d.excused) >= rateSpan { // else their speed is not theirs
		slices.Sort(known)
		usual := known[len(known)/2]
		for i, m := range here {
			if m.pace.known() && m.held > 0 && each[i] < usual/2 {
				list[i].Slow = true
			}
		}
	}
	return list
}

// speed is the rate of who holds so many chunks. Who holds none and has finished
// none for a while does nothing, and when the job is done nobody does.
func (d *coordinator) speed(now time.Time, p *pace, held int) float64 {
	if held == 0 && (d.state == bus.StateDone || now.Sub(p.last) >= rateSpan) {
		return 0
	}
	return p.rate(now)
}

// goneMapper is a mapper that was here.
type goneMapper struct {
	bus.GoneMapper
	at time.Time
}

// farewell removes a mapper that is gone, and remembers it for people.
func (d *coordinator) farewell(now time.Time, m *mapper, why string) {
	delete(d.mappers, m.ID)
	m.of.Seen(now)
	d.gone = append(d.gone, goneMapper{GoneMapper: bus.GoneMapper{Mapper: m.Mapper, Saved: m.saved, Why: why, Lost: m.held}, at: now})
	if over := len(d.gone) - bus.MaxGone; over > 0 {
		d.gone = slices.Delete(d.gone, 0, over)
	}
}

func (d *coordinator) goneList(now time.Time) []bus.GoneMapper {
	list := make([]bus.GoneMapper, 0, len(d.gone))
	for _, g := range slices.Backward(d.gone) {
		g.Seconds = now.Sub(g.at).Seconds()
		list = append(list, g.GoneMapper)
	}
	return list
}

func (d *coordinator) stragglerList(now time.Time) []bus.Straggler {
	views := d.ledger.Stragglers(now, bus.MaxStragglers)
	list := make([]bus.Straggler, 0, len(views))
	for _, v := range views {
		s := bus.Straggler{Chunk: v.ID, Seconds: v.For.Seconds(), Attempt: v.Attempt, Mapper: d.nameOf(v.Mappers[0])}
		if v.Backup && len(v.Mappers) > 1 {
			s.Backup = d.nameOf(v.Mappers[len(v.Mappers)-1])
		}
		list = append(list, s)
	}
	return list
}

// nameOf is a mapper's name, or its ID if it is not here any more.
func (d *coordinator) nameOf(id string) string {
	if m := d.mappers[id]; m != nil {
		return m.Name
	}
	for _, g := range d.gone {
		if g.ID == id {
			return g.Name
		}
	}
	return id
}
