package fetcher

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	// recentOutcomes is how many of a version's last chunks its failures are judged
	// by, and leastOutcomes how many there must be: one unlucky chunk proves nothing.
	recentOutcomes = 20
	leastOutcomes  = 5
	// maxRests bounds how long a version rests after probes that failed, in
	// doublings of BREAK_FOR.
	maxRests = 5
	// maxVersions bounds how many versions are remembered. The name is the mapper's to choose.
	maxVersions = 100
	// spanTook is how many of a version's last chunks its quantiles are taken of.
	spanTook = 200
)

// version is what the desk knows of a version of mappers, and whether it may
// have chunks: within its share, and unless it was cut off.
type version struct {
	name string
	seen time.Time // when a mapper of it came last

	handed, saved, vanished uint64 // chunks
	objects, dead           uint64 // saved; of them dead letters
	pace                    report.Pace
	took                    []time.Duration // ring of the last chunks
	next                    int

	transform string // of its mappers; "" while none of them has had a chunk

	share  float64 // most of the chunks handed out; 1: as many as it asks for
	credit float64 // chunks that it may have now
	barred bool    // it may have none; its mappers are so in the ledger

	recent outcomes  // the last chunks; none unless BREAK_AT is set
	broke  float64   // share of failed objects for which it was cut off last
	until  time.Time // cut off until then, and then on probe; zero: it is not
	rests  int       // how often it was cut off in a row
	untold bool      // the saver does not know yet that it is cut off
}

// result is how a chunk went.
type result struct{ objects, dead int }

// enlist puts a mapper with the others of its version.
func (d *desk) enlist(now time.Time, m *mapper) {
	m.of = d.versionOf(now, m.Version)
	m.version = d.f.metrics.versions.Label(m.Version)
	m.counter = d.f.metrics.saved.WithLabelValues(m.version)
	d.ledger.Bar(m.ID, m.of.barred)
}

// versionOf returns what is known of a version, making room for a new one.
func (d *desk) versionOf(now time.Time, name string) *version {
	v := d.versions[name]
	if v == nil {
		d.forgetVersion()
		v = &version{name: name, share: 1, transform: d.f.grant.past.Transforms[name]}
		if share, set := d.f.cfg.VersionShares[name]; set {
			v.share = share
		}
		v.credit = min(1, v.share*2)
		v.pace.Begin(now)
		d.versions[name] = v
	}
	v.seen = now
	return v
}

// forgetVersion drops the version that was seen longest ago, of those that have no mapper
// here and that nobody has limited or cut off, when there are too many.
func (d *desk) forgetVersion() {
	if len(d.versions) < maxVersions {
		return
	}
	here := map[*version]bool{}
	for _, m := range d.mappers {
		here[m.of] = true
	}
	var oldest *version
	for _, v := range d.versions {
		if here[v] || v.share < 1 || !v.until.IsZero() {
			continue
		}
		if oldest == nil || v.seen.Before(oldest.seen) {
			oldest = v
		}
	}
	if oldest != nil {
		delete(d.versions, oldest.name)
	}
}

// mayHave says whether a version may have one more chunk. Held counts what its
// mappers hold.
func (v *version) mayHave(now time.Time, held func() int) bool {
	switch {
	case v.untold, v.share < 1 && v.credit < 1:
		return false
	case v.until.IsZero():
		return true
	}
	return !now.Before(v.until) && held() == 0 // one chunk at a time, as a probe
}

// bar tells the ledger whose mappers may have no chunk now: those of versions that
// are limited, cut off or shadow.
func (d *desk) bar(now time.Time) {
	for _, v := range d.versions {
		barred := d.shadow.of(v.name) || !v.mayHave(now, func() int { return d.heldBy(v) })
		if barred == v.barred {
			continue
		}
		v.barred = barred
		for id, m := range d.mappers {
			if m.of == v {
				d.ledger.Bar(id, barred)
			}
		}
	}
}

// given notes that a version got a chunk: those that are limited may have more
// again, in proportion.
func (d *desk) given(v *version) {
	v.handed++
	if v.share < 1 {
		v.credit--
	}
	for _, other := range d.versions {
		if other != v && other.share < 1 && other.share > 0 {
			other.credit = min(other.credit+other.share/(1-other.share), 1+other.share/(1-other.share))
		}
	}
}

// heldBy counts the chunks that the mappers of a version hold.
func (d *desk) heldBy(v *version) int {
	held := 0
	for _, m := range d.mappers {
		if m.of == v {
			held += d.ledger.Holds(m.ID)
		}
	}
	return held
}

// finished notes how a chunk went that a version had. It says whether the
// version is cut off with it, and for what share of failed objects.
func (v *version) finished(now time.Time, r result, limit float64, rest time.Duration) (share float64, cutOff bool) {
	if limit <= 0 || now.Before(v.until) { // off; or a chunk of before it was cut off
		return 0, false
	}
	probing := !v.until.IsZero()
	v.recent.add(r)
	share = v.recent.failed()
	failed := share > limit
	switch {
	case probing && !failed:
		v.until, v.rests, v.recent = time.Time{}, 0, nil
	case failed && (probing || len(v.recent) >= leastOutcomes):
		v.until = now.Add(rest << min(v.rests, maxRests))
		v.rests, v.recent, v.broke = v.rests+1, nil, share
		return share, true
	}
	return share, false
}

// judgeVersion notes how a chunk of a version went, and cuts the version off when
// too much of what it does fails.
func (d *desk) judgeVersion(now time.Time, v *version, r result) {
	d.outcomes.add(r)
	was := v.until
	failed, cutOff := v.finished(now, r, d.f.cfg.BreakAt, d.f.cfg.BreakFor)
	if cutOff {
		d.f.log.Error().Str("mapper_version", v.name).Float64("failed", failed).Stringer("rest", v.until.Sub(now).Round(time.Second)).
			Str("next", "one chunk as a probe after the rest; the dead letters say why: mend it, or have it go on with chunkline control allow").
			Msg("a version is cut off: too many of its objects failed")
		d.takeBack(v)
	} else if !was.IsZero() && v.until.IsZero() {
		d.f.log.Info().Str("mapper_version", v.name).Msg("a version may have chunks again: its probe went well")
	}
}

// takeBack has what a version holds mapped by others: its results are refused as soon
// as the saver knows, and its mappers are told to give it up.
func (d *desk) takeBack(v *version) {
	v.untold = true
	for _, id := range slices.Sorted(maps.Keys(d.mappers)) {
		if d.mappers[id].of != v {
			continue
		}
		for _, held := range d.ledger.Held(id) {
			d.order(order{mapper: id, kind: wire.OrderDrop, chunk: held})
		}
	}
}

// untold is a version of which the saver does not know that it is cut off; nil if there is none.
func (d *desk) untold() *version {
	for _, name := range slices.Sorted(maps.Keys(d.versions)) {
		if v := d.versions[name]; v.untold {
			return v
		}
	}
	return nil
}

// told notes that the saver knows: leases of the version are of a new term from here on.
func (d *desk) told(name string, term uint64) {
	d.terms[name] = term
	if v := d.versions[name]; v != nil {
		v.untold = false
	}
}

// noteTook keeps how long a chunk took.
func (v *version) noteTook(took time.Duration) {
	switch {
	case took <= 0:
	case len(v.took) < spanTook:
		v.took = append(v.took, took)
	default:
		v.took[v.next] = took
		v.next = (v.next + 1) % spanTook
	}
}

// versionList is what the status says of the versions, by name: those that have mappers
// here or had a chunk.
func (d *desk) versionList(now time.Time) []report.VersionStatus {
	count, held := map[*version]int{}, map[*version]int{}
	for _, m := range d.mappers {
		count[m.of]++
		held[m.of] += m.held
	}
	list := make([]report.VersionStatus, 0, len(d.versions))
	for _, v := range slices.SortedFunc(maps.Values(d.versions), func(a, b *version) int { return strings.Compare(a.name, b.name) }) {
		if count[v] == 0 && v.handed == 0 && v.share == 1 {
			continue // a mapper said that it was of this version, and then of another one
		}
		s := report.VersionStatus{
			Version: v.name, Mappers: count[v], Held: held[v], HandedOut: v.handed, Saved: v.saved, Vanished: v.vanished,
			Objects: v.objects, Dead: v.dead, Rate: d.speed(now, &v.pace, held[v]), Share: v.share,
		}
		if sorted := slices.Sorted(slices.Values(v.took)); len(sorted) > 0 {
			s.ChunkSeconds = report.Quantiles{P50: sorted[len(sorted)/2].Seconds(), P95: sorted[len(sorted)*95/100].Seconds()}
		}
		if !v.until.IsZero() {
			rest := max(0, v.until.Sub(now)).Seconds()
			s.CutOffSeconds = &rest
		}
		list = append(list, s)
	}
	return list
}

// add notes a chunk that was saved.
func (v *version) add(now time.Time, objects, dead int, took time.Duration) {
	v.saved++
	v.objects += uint64(objects)
	v.dead += uint64(dead)
	v.pace.Add(now, objects)
	v.noteTook(took)
}

// lost notes that a mapper vanished with what it held. All of it has failed, if mappers
// of another version may do it: whoever takes mappers away, as of a node that is
// drained, takes them of the only version there is, and no other could go on.
func (d *desk) lost(now time.Time, m *mapper) {
	judged := d.isOther(m.of)
	for range m.held {
		m.of.vanished++
		if !judged {
			continue
		}
		d.judgeVersion(now, m.of, result{objects: d.f.cfg.ChunkSize, dead: d.f.cfg.ChunkSize})
	}
}

// isOther says whether a mapper of another version is here that may have chunks.
func (d *desk) isOther(than *version) bool {
	for _, m := range d.mappers {
		if v := m.of; v != than && m.refused == "" && !d.shadows(m) && v.share > 0 && v.until.IsZero() {
			return true
		}
	}
	return false
}

// noneMay says whether none of those who wait may have a chunk because of its version.
func (d *desk) noneMay(now time.Time) bool {
	for id := range d.waiting.of {
		if m := d.mappers[id]; m != nil && !d.shadows(m) && m.of.mayHave(now, func() int { return d.heldBy(m.of) }) {
			return false
		}
	}
	return true
}
