package fetcher

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/rollout"
	"github.com/chunkline/chunkline/internal/wire"
)

// tookWindow is the number of a version's last pieces that determine its quantiles.
const tookWindow = 200

// version is the fetcher's state of a mapper version, with its policy from package rollout.
type version struct {
	*rollout.Version

	assigned, saved, vanished uint64 // pieces
	objects, dead             uint64 // saved objects, and dead letters among them
	pace                      report.Pace
	took                      []time.Duration // ring: the time per object of the last pieces
	objectTime                time.Duration   // time per object, by the latest request that has it; 0: not known
	next                      int

	transform string // of its mappers; "" until one of them gets a chunk
	excluded  bool   // as the ledger knows it
}

// joinVersion adds a mapper to its version.
func (c *coordinator) joinVersion(now time.Time, m *mapper) {
	m.of = c.versionOf(now, m.Version)
	m.version = c.f.metrics.versions.Label(m.Version)
	m.counter = c.f.metrics.saved.WithLabelValues(m.version)
	c.ledger.Exclude(m.ID, m.of.excluded)
}

// versionOf returns a version by name, and creates it if it is new.
func (c *coordinator) versionOf(now time.Time, name string) *version {
	v := c.versions[name]
	if v == nil {
		inUse := map[string]bool{}
		for _, m := range c.mappers {
			if m.of != nil { // a mapper without one is just joining
				inUse[m.of.Name] = true
			}
		}
		policy, evicted := c.rollout.Add(now, name, inUse)
		if evicted != nil {
			delete(c.versions, evicted.Name)
		}
		v = &version{Version: policy, transform: c.f.grant.past.Transforms[name]}
		v.pace.Begin(now)
		c.versions[name] = v
	}
	v.Seen(now)
	return v
}

// eligible reports whether a version may get one more chunk now.
func (c *coordinator) eligible(now time.Time, v *version) bool {
	return c.rollout.Eligible(now, v.Version, func() int { return c.heldBy(v) })
}

// noneEligible reports whether no waiting request is eligible for a chunk.
func (c *coordinator) noneEligible(now time.Time) bool {
	for id := range c.waiting.of {
		if m := c.mappers[id]; m != nil && c.eligible(now, m.of) {
			return false
		}
	}
	return true
}

// heldBy counts the chunks that the mappers of a version hold.
func (c *coordinator) heldBy(v *version) int {
	held := 0
	for _, m := range c.mappers {
		if m.of == v {
			held += c.ledger.Holds(m.ID)
		}
	}
	return held
}

// excludeIneligible marks in the ledger the mappers that get no chunk now. A chunk that needs a proven mapper must not
// wait for one of those.
func (c *coordinator) excludeIneligible(now time.Time) {
	for _, v := range c.versions {
		excluded := !c.eligible(now, v)
		if excluded == v.excluded {
			continue
		}
		v.excluded = excluded
		for id, m := range c.mappers {
			if m.of == v {
				c.ledger.Exclude(id, excluded)
			}
		}
	}
}

// noteAssigned records that a mapper got a piece.
func (c *coordinator) noteAssigned(m *mapper, p chunk.Piece) {
	m.of.transform, m.piece = m.Transform, p.Len()
	m.of.assigned++
	c.rollout.Assigned(m.of.Version, min(1, float64(p.Len())/float64(c.f.plan.Size)))
}

// noteSaved counts a saved piece of the version.
func (v *version) noteSaved(now time.Time, objects, dead int, took time.Duration) {
	v.saved++
	v.objects += uint64(objects)
	v.dead += uint64(dead)
	v.pace.Add(now, objects)
	each := took / time.Duration(max(1, objects))
	switch {
	case each <= 0:
	case len(v.took) < tookWindow:
		v.took = append(v.took, each)
	default:
		v.took[v.next] = each
		v.next = (v.next + 1) % tookWindow
	}
}

// noteVanished counts the pieces that a mapper held when it vanished, each with the size of its latest one. They are
// failures of its version, but only while another version serves: draining a node or scaling down removes mappers of
// the only version, and opening its breaker would leave no mapper to continue.
func (c *coordinator) noteVanished(now time.Time, m *mapper) {
	counts := c.anotherServes(m.of)
	for range m.held {
		m.of.vanished++
		if counts {
			c.recordOutcome(now, m.of, rollout.Outcome{Objects: m.piece, Failed: m.piece})
		}
	}
}

// anotherServes reports whether a mapper of another version gets regular work.
func (c *coordinator) anotherServes(than *version) bool {
	for _, m := range c.mappers {
		if m.of != than && m.refused == "" && c.rollout.Serves(m.of.Version) {
			return true
		}
	}
	return false
}

// recordOutcome reports the outcome of a chunk to the version's circuit breaker.
func (c *coordinator) recordOutcome(now time.Time, v *version, o rollout.Outcome) {
	c.outcomes.Add(o)
	switch v.Breaker.Record(now, o) {
	case rollout.Opened:
		c.f.log.Error().Str("mapper_version", v.Name).Float64("failed", v.Breaker.FailedShare()).Stringer("rest", v.Breaker.ProbeIn(now).Round(time.Second)).
			Str("next", "one chunk goes out as a probe after this time; the dead letters say what failed: fix the version, or run chunkline control allow").
			Msg("circuit breaker opened: too many objects of a mapper version failed")
		c.dropHeldBy(v)
	case rollout.Reclosed:
		c.f.log.Info().Str("mapper_version", v.Name).Msg("circuit breaker closed: the probe succeeded")
	default: // nothing changes
	}
}

// dropHeldBy orders the mappers of a version to give up their chunks, so that others get them at once. Once the version
// is fenced, the saver refuses its results.
func (c *coordinator) dropHeldBy(v *version) {
	for _, id := range slices.Sorted(maps.Keys(c.mappers)) {
		if c.mappers[id].of != v {
			continue
		}
		for _, held := range c.ledger.Held(id) {
			c.order(order{mapper: id, kind: wire.OrderDrop, piece: held})
		}
	}
}

// unfenced returns a version whose breaker has opened and that the saver has not fenced yet; nil if there is none.
func (c *coordinator) unfenced() *version {
	for _, name := range slices.Sorted(maps.Keys(c.versions)) {
		if v := c.versions[name]; v.Breaker.Unfenced() {
			return v
		}
	}
	return nil
}

// fenced records that the saver refuses results of earlier terms of a version. The version's leases have this term from
// now on.
func (c *coordinator) fenced(name string, term uint64) {
	c.terms[name] = term
	if v := c.versions[name]; v != nil {
		v.Breaker.Fenced()
	}
}

// versionList returns the versions for the status, by name: those that have mappers or a limit, or have had a chunk.
func (c *coordinator) versionList(now time.Time) []report.VersionStatus {
	count, held := map[*version]int{}, map[*version]int{}
	for _, m := range c.mappers {
		count[m.of]++
		held[m.of] += m.held
	}
	list := make([]report.VersionStatus, 0, len(c.versions))
	for _, v := range slices.SortedFunc(maps.Values(c.versions), func(a, b *version) int { return strings.Compare(a.Name, b.Name) }) {
		if count[v] == 0 && v.assigned == 0 && v.Share() == 1 {
			continue // its mappers named another version before they got a chunk
		}
		s := report.VersionStatus{
			Version: v.Name, Mappers: count[v], Held: held[v], HandedOut: v.assigned, Saved: v.saved, Vanished: v.vanished,
			Objects: v.objects, Dead: v.dead, Rate: c.speed(now, &v.pace, held[v]), Share: v.Share(),
		}
		if sorted := slices.Sorted(slices.Values(v.took)); len(sorted) > 0 {
			s.ObjectSeconds = report.Quantiles{P50: sorted[len(sorted)/2].Seconds(), P95: sorted[len(sorted)*95/100].Seconds()}
		}
		if !v.Breaker.Closed() {
			rest := max(0, v.Breaker.ProbeIn(now)).Seconds()
			s.BreakerOpenSeconds = &rest
		}
		list = append(list, s)
	}
	return list
}
