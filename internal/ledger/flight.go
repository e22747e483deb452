package ledger

import (
	"cmp"
	"container/list"
	"iter"
	"slices"
	"time"
)

// flight keeps the leased pieces in lanes by number of objects. That number determines when a piece is late, so within
// a lane the piece that is longest in flight is late first.
type flight struct {
	lanes []lane // by objects, ascending; none is empty
	count int    // pieces in all of them
}

type lane struct {
	objects int
	list    *list.List // of *entry, the longest in flight first
}

// lane returns the index of the lane for pieces of this many objects, and whether it exists.
func (f *flight) lane(objects int) (int, bool) {
	return slices.BinarySearchFunc(f.lanes, objects, func(l lane, objects int) int { return cmp.Compare(l.objects, objects) })
}

// add adds a piece that gets its first lease. Its since is now, or that of the piece before if times arrive out of
// order.
func (f *flight) add(now time.Time, e *entry) {
	i, there := f.lane(e.piece.Len())
	if !there {
		f.lanes = slices.Insert(f.lanes, i, lane{objects: e.piece.Len(), list: list.New()})
	}
	e.since = now
	if last := f.lanes[i].list.Back(); last != nil {
		e.since = later(now, last.Value.(*entry).since)
	}
	e.element = f.lanes[i].list.PushBack(e)
	f.count++
}

// remove removes a piece whose last lease has ended.
func (f *flight) remove(e *entry) {
	i, _ := f.lane(e.piece.Len())
	f.lanes[i].list.Remove(e.element)
	e.element = nil
	f.count--
	if f.lanes[i].list.Len() == 0 {
		f.lanes = slices.Delete(f.lanes, i, i+1)
	}
}

// oldest returns the piece that is longest in flight; nil if there is none.
func (f *flight) oldest() *entry {
	var oldest *entry
	for _, lane := range f.lanes {
		if e := lane.list.Front().Value.(*entry); oldest == nil || e.since.Before(oldest.since) {
			oldest = e
		}
	}
	return oldest
}

// each yields the pieces of a lane that have been in flight since before a time, the longest first.
func (l lane) each(before time.Time) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for element := l.list.Front(); element != nil; element = element.Next() {
			if e := element.Value.(*entry); !e.since.Before(before) || !yield(e) {
				return
			}
		}
	}
}

const (
	// A piece is a straggler when it has been in flight for longer than minStraggler, and for longer than twice the
	// median time of the last pieces for as many objects. At most one in maxBackups of those in flight has a backup
	// attempt. MapReduce (OSDI 2004, §3.6) found a few per cent of extra work to save a third of the time.
	minStraggler = time.Second
	maxBackups   = 10
)

// straggler finds a piece that has been in flight too long, has no backup attempt and is not held by m. With m nil it
// finds any.
func (l *Ledger) straggler(now time.Time, m *mapper) *entry {
	if !l.cfg.Speculate || l.backups*maxBackups >= l.flight.count {
		return nil
	}
	var longest *entry
	for _, lane := range l.flight.lanes {
		for e := range lane.each(l.late(now, lane.objects)) {
			if l.isCareful(e) || e.hasBackup() || m != nil && e.leaseOf(m) >= 0 {
				continue
			}
			if longest == nil || e.since.Before(longest.since) {
				longest = e
			}
			break
		}
	}
	return longest
}

// late returns the time since when a piece of this many objects must be in flight to be a straggler.
func (l *Ledger) late(now time.Time, objects int) time.Time {
	late := now.Add(-max(minStraggler, 2*time.Duration(objects)*l.durations.median))
	if !l.excused.Before(late) {
		return time.Time{}
	}
	return late
}

// Excuse records that until now no result could be saved, whatever the mappers did. That time does not make a piece a
// straggler.
func (l *Ledger) Excuse(now time.Time) { l.excused = now }

// spanDurations is the number of saved pieces for the median: enough to be steady, few enough to follow a change within
// seconds.
const spanDurations = 101

// durations keeps the time in flight per object of the last pieces.
type durations struct {
	ring   []time.Duration
	next   int
	fresh  int // values since the median was computed
	median time.Duration
}

func (d *durations) add(v time.Duration) {
	if len(d.ring) < spanDurations {
		d.ring = append(d.ring, v)
	} else {
		d.ring[d.next] = v
		d.next = (d.next + 1) % spanDurations
	}
	d.fresh++
	if d.fresh >= spanDurations/4 || len(d.ring) < spanDurations/4 {
		d.fresh = 0
		sorted := slices.Sorted(slices.Values(d.ring))
		d.median = sorted[len(sorted)/2]
	}
}
