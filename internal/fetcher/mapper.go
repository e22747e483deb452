package fetcher

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/internal/report"
)

// mapper is what people want to know of a mapper, and which of its requests
// are new.
type mapper struct {
	report.Mapper
	heard time.Time
	saved uint64
	held  int         // chunks, when the last report was made
	pace  report.Pace // of objects saved
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

func (m *mapper) state(now time.Time) report.MapperState {
	switch {
	case now.Sub(m.heard) >= suspectAfter:
		return report.MapperSilent
	case m.draining:
		return report.MapperDraining
	case m.held > 0:
		return report.MapperWorking
	}
	return report.MapperIdle
}

// mapperList is what the status says of the mappers, by name in natural order.
func (d *desk) mapperList(now time.Time) []report.MapperStatus {
	here := slices.SortedFunc(maps.Values(d.mappers), func(a, b *mapper) int {
		if by := naturally(a.Name, b.Name); by != 0 {
			return by
		}
		return strings.Compare(a.ID, b.ID)
	})
	late := map[string]bool{}
	for _, v := range d.ledger.Stragglers(now, report.MaxStragglers) {
		late[v.Mappers[0]] = true
	}
	list := make([]report.MapperStatus, len(here))
	each := make([]float64, len(here)) // objects a second of one worker
	var known []float64
	for i, m := range here {
		m.held = d.ledger.Holds(m.ID)
		list[i] = report.MapperStatus{
			Mapper: m.Mapper, State: m.state(now), Held: m.held, Saved: m.saved, Rate: d.speed(now, &m.pace, m.held),
			Slow: late[m.ID], LastBeatSeconds: now.Sub(m.heard).Seconds(), Notice: m.notice,
		}
		if m.pace.Known() {
			each[i] = list[i].Rate / float64(max(1, m.held+len(d.waiting.of[m.ID])))
			known = append(known, each[i])
		}
	}
	if len(known) > 0 && now.Sub(d.excused) >= report.RateSpan { // else their speed is not theirs
		slices.Sort(known)
		usual := known[len(known)/2]
		for i, m := range here {
			if m.pace.Known() && m.held > 0 && each[i] < usual/2 {
				list[i].Slow = true
			}
		}
	}
	return list
}

// speed is the rate of who holds so many chunks. Who holds none and has finished
// none for a while does nothing, and when the job is done nobody does.
func (d *desk) speed(now time.Time, p *report.Pace, held int) float64 {
	if held == 0 && (d.state == report.StateDone || p.Idle(now) >= report.RateSpan) {
		return 0
	}
	return p.Rate(now)
}

// goneMapper is a mapper that was here.
type goneMapper struct {
	report.GoneMapper
	at time.Time
}

// farewell removes a mapper that is gone, and remembers it for people.
func (d *desk) farewell(now time.Time, m *mapper, why string) {
	delete(d.mappers, m.ID)
	m.of.seen = now
	d.gone = append(d.gone, goneMapper{GoneMapper: report.GoneMapper{Mapper: m.Mapper, Saved: m.saved, Why: why, Lost: m.held}, at: now})
	if over := len(d.gone) - report.MaxGone; over > 0 {
		d.gone = slices.Delete(d.gone, 0, over)
	}
}

func (d *desk) goneList(now time.Time) []report.GoneMapper {
	list := make([]report.GoneMapper, 0, len(d.gone))
	for _, g := range slices.Backward(d.gone) {
		g.Seconds = now.Sub(g.at).Seconds()
		list = append(list, g.GoneMapper)
	}
	return list
}

func (d *desk) stragglerList(now time.Time) []report.Straggler {
	views := d.ledger.Stragglers(now, report.MaxStragglers)
	list := make([]report.Straggler, 0, len(views))
	for _, v := range views {
		s := report.Straggler{Chunk: v.ID, Seconds: v.For.Seconds(), Attempt: v.Attempt, Mapper: d.nameOf(v.Mappers[0])}
		if v.Backup && len(v.Mappers) > 1 {
			s.Backup = d.nameOf(v.Mappers[len(v.Mappers)-1])
		}
		list = append(list, s)
	}
	return list
}

// nameOf is a mapper's name, or its ID if it is not here any more.
func (d *desk) nameOf(id string) string {
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
