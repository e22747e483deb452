package fetcher

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/report"
)

// mapper is the fetcher's state of a mapper process. Its leases are in the ledger.
type mapper struct {
	report.Mapper
	heard time.Time
	saved uint64
	held  int         // pieces, as of the last report
	piece int         // objects of its latest piece
	pace  report.Pace // of saved objects
	of    *version

	workers int // number of workers that have made a request

	draining bool               // a heartbeat said so
	mute     int                // objects that its transform has not answered in time; 0 once it has answered one
	retries  uint64             // tries of objects after their first ones, by its latest heartbeat
	beaten   bool               // retries is known
	notice   string             // problem of its transform; "": none
	refused  string             // why it gets no chunk because of its transform; "": it may get one
	version  string             // as a metric's label
	counter  prometheus.Counter // of objects saved by its version

	asking  []uint64            // the open requests in its latest list, ascending
	arrived map[uint64]struct{} // those of them that have arrived
}

// note records the time and the open requests of a list that is not stale.
func (m *mapper) note(now time.Time, asking []uint64) {
	m.heard, m.asking = now, asking
	maps.DeleteFunc(m.arrived, func(seq uint64, _ struct{}) bool { return !contains(asking, seq) })
}

// contains reports whether an ascending list contains seq. It is a binary search, because the sender determines the
// length of the list.
func contains(ascending []uint64, seq uint64) bool {
	_, has := slices.BinarySearch(ascending, seq)
	return has
}

// admit reports whether to answer a request: it is still open, and this is its first copy.
func (m *mapper) admit(seq uint64) bool {
	if _, doubled := m.arrived[seq]; doubled || !contains(m.asking, seq) {
		return false
	}
	m.arrived[seq] = struct{}{}
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

// mapperList returns the mappers for the status, in natural order of their names.
func (c *coordinator) mapperList(now time.Time) []report.MapperStatus {
	here := slices.SortedFunc(maps.Values(c.mappers), func(a, b *mapper) int {
		if by := naturally(a.Name, b.Name); by != 0 {
			return by
		}
		return strings.Compare(a.ID, b.ID)
	})
	late := map[string]bool{}
	for _, v := range c.ledger.Stragglers(now, report.MaxStragglers) {
		late[v.Mappers[0]] = true
	}
	list := make([]report.MapperStatus, len(here))
	each := make([]float64, len(here)) // objects a second of one worker
	var known []float64
	for i, m := range here {
		// A mapper that answers pings but sends no list gets no work: a careful piece must not wait for it.
		c.ledger.Exclude(m.ID, m.of.excluded || now.Sub(m.heard) >= goneAfter)
		m.held = c.ledger.Holds(m.ID)
		list[i] = report.MapperStatus{
			Mapper: m.Mapper, State: m.state(now), Held: m.held, Saved: m.saved, Rate: c.speed(now, &m.pace, m.held),
			Slow: late[m.ID], LastBeatSeconds: now.Sub(m.heard).Seconds(), Notice: m.notice,
		}
		if m.pace.Known() {
			each[i] = list[i].Rate / float64(c.busyWorkers(m))
			known = append(known, each[i])
		}
	}
	if len(known) > 0 && now.Sub(c.excused) >= report.RateSpan { // otherwise the saver was the bottleneck, not the mappers
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

// busyWorkers returns how many workers of a mapper work or wait, at least 1. A worker may hold several pieces: those of
// its grant, those that it has taken ahead, and those whose results are not saved yet.
func (c *coordinator) busyWorkers(m *mapper) int {
	n := m.held + len(c.waiting.of[m.ID])
	if m.workers > 0 { // 0: it has not asked this fetcher yet
		n = min(n, m.workers)
	}
	return max(1, n)
}

// speed returns the rate of a mapper or version that holds the given number of chunks. It is 0 if they hold none, and
// either the job is done or they have finished none for a while.
func (c *coordinator) speed(now time.Time, p *report.Pace, held int) float64 {
	if held == 0 && (c.state == report.StateDone || p.Idle(now) >= report.RateSpan) {
		return 0
	}
	return p.Rate(now)
}

// goneMapper is a mapper that has left or vanished.
type goneMapper struct {
	report.GoneMapper
	at time.Time
}

// removeMapper removes a departed mapper. The status shows the latest of them.
func (c *coordinator) removeMapper(now time.Time, m *mapper, why string) {
	delete(c.mappers, m.ID)
	c.slots -= m.workers
	m.of.Seen(now)
	c.gone = append(c.gone, goneMapper{GoneMapper: report.GoneMapper{Mapper: m.Mapper, Saved: m.saved, Why: why, Lost: m.held}, at: now})
	if over := len(c.gone) - report.MaxGone; over > 0 {
		c.gone = slices.Delete(c.gone, 0, over)
	}
}

func (c *coordinator) goneList(now time.Time) []report.GoneMapper {
	list := make([]report.GoneMapper, 0, len(c.gone))
	for _, g := range slices.Backward(c.gone) {
		g.Seconds = now.Sub(g.at).Seconds()
		list = append(list, g.GoneMapper)
	}
	return list
}

func (c *coordinator) stragglerList(now time.Time) []report.Straggler {
	views := c.ledger.Stragglers(now, report.MaxStragglers)
	list := make([]report.Straggler, 0, len(views))
	for _, v := range views {
		s := report.Straggler{Chunk: v.Piece.Chunk, Seconds: v.For.Seconds(), Attempt: v.Attempt, Mapper: c.nameOf(v.Mappers[0])}
		if v.Backup && len(v.Mappers) > 1 {
			s.Backup = c.nameOf(v.Mappers[len(v.Mappers)-1])
		}
		list = append(list, s)
	}
	return list
}

// nameOf returns a mapper's name, or its ID if the mapper is no longer known.
func (c *coordinator) nameOf(id string) string {
	if m := c.mappers[id]; m != nil {
		return m.Name
	}
	for _, g := range c.gone {
		if g.ID == id {
			return g.Name
		}
	}
	return id
}

// naturally compares names in natural order: mapper-2 comes before mapper-10.
func naturally(a, b string) int {
	whole := strings.Compare(a, b)
	for a != "" && b != "" {
		numberA, restA := digits(a)
		numberB, restB := digits(b)
		if numberA != "" && numberB != "" {
			numberA, numberB = strings.TrimLeft(numberA, "0"), strings.TrimLeft(numberB, "0")
			if by := cmp.Or(cmp.Compare(len(numberA), len(numberB)), strings.Compare(numberA, numberB)); by != 0 {
				return by
			}
			a, b = restA, restB
			continue
		}
		if by := cmp.Compare(a[0], b[0]); by != 0 {
			return by
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), whole) // 01 and 1 differ
}

// digits splits s after its leading digits.
func digits(s string) (number, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}

const (
	mapperLines   = 20 // log lines of each kind within mapperLogTime; further events are counted
	mapperLogTime = time.Minute
)

// mapperLog logs which mappers come, go or get no work. On an open bus anybody can impersonate mappers, so each kind of
// event has a bounded number of lines a minute, and one line counts the others.
type mapperLog struct {
	log   zerolog.Logger
	since time.Time // of the first line of this minute; zero if there is none

	came, went, lost, refused lineCount // lost counts those that held chunks when they went
}

// lineCount counts the logged and the unlogged events of this minute.
type lineCount struct{ lines, unlogged int }

// admit counts an event, and reports whether it gets a line.
func (l *mapperLog) admit(now time.Time, of *lineCount) bool {
	if l.since.IsZero() {
		l.since = now
	}
	if of.lines == mapperLines {
		of.unlogged++
		return false
	}
	of.lines++
	return true
}

func (l *mapperLog) joined(now time.Time, m *mapper) {
	if l.admit(now, &l.came) {
		m.named(l.log.Info()).Msg("mapper joined")
	}
}

// left logs why a mapper is gone, and how many pieces it held.
func (l *mapperLog) left(now time.Time, m *mapper, why string) {
	switch {
	case m.held > 0 && l.admit(now, &l.lost):
		m.named(l.log.Warn()).Int("pieces", m.held).Msgf("mapper %s: its pieces are requeued", why)
	case m.held == 0 && l.admit(now, &l.went):
		m.named(l.log.Info()).Msgf("mapper %s; it held no piece", why)
	}
}

func (l *mapperLog) gotNoWork(now time.Time, m *mapper) {
	if l.admit(now, &l.refused) {
		m.named(l.log.Warn()).Str("transform", m.Transform).Msg("mapper gets no work: " + m.refused)
	}
}

// tick logs at the end of a minute how many events had no line.
func (l *mapperLog) tick(now time.Time) {
	if l.since.IsZero() || now.Sub(l.since) < mapperLogTime {
		return
	}
	if l.came.unlogged+l.went.unlogged+l.lost.unlogged+l.refused.unlogged > 0 {
		l.log.Info().Int("came", l.came.unlogged).Int("went", l.went.unlogged).Int("went_with_pieces", l.lost.unlogged).Int("refused", l.refused.unlogged).
			Msg("many mappers came, went or got no work within a minute: these had no line of their own")
	}
	*l = mapperLog{log: l.log}
}

func (m *mapper) named(e *zerolog.Event) *zerolog.Event {
	return e.Str("mapper", m.Name).Str("mapper_id", m.ID).Str("mapper_version", m.Version)
}
