package rollout

import "time"

// maxVersions bounds the versions in a Table, because a mapper may send any name as its version.
const maxVersions = 100

// Config is the initial state of a Table.
type Config struct {
	Shares   Shares        // of versions by name; a version without one has no limit
	Shadow   Shadow        // the version that gets copies of saved chunks
	BreakAt  float64       // share of failed objects above which a circuit breaker opens; 0: never
	BreakFor time.Duration // time that it stays open the first time
}

// A Table holds the policy state of every known version.
type Table struct {
	Shadow   Shadow // may be changed at any time
	cfg      Config
	versions map[string]*Version
}

// A Version is the policy state of one version.
type Version struct {
	Name    string
	Breaker Breaker
	quota   quota
	seen    time.Time // when one of its mappers was last connected
}

// New returns an empty Table.
func New(cfg Config) *Table {
	return &Table{Shadow: cfg.Shadow, cfg: cfg, versions: map[string]*Version{}}
}

// Add adds a version and returns it. A full Table evicts the version that was seen longest ago among those without
// state: no mapper (inUse), no limit, and a closed breaker. Add returns the evicted version, or nil.
func (t *Table) Add(now time.Time, name string, inUse map[string]bool) (v, evicted *Version) {
	if len(t.versions) >= maxVersions {
		evicted = t.evict(inUse)
	}
	share, set := t.cfg.Shares[name]
	if !set {
		share = 1
	}
	v = &Version{Name: name, Breaker: Breaker{limit: t.cfg.BreakAt, rest: t.cfg.BreakFor}, seen: now}
	v.SetShare(share)
	t.versions[name] = v
	return v, evicted
}

func (t *Table) evict(inUse map[string]bool) *Version {
	var oldest *Version
	for _, v := range t.versions {
		if v.quota.limited() || !v.Breaker.Closed() || inUse[v.Name] {
			continue
		}
		if oldest == nil || v.seen.Before(oldest.seen) {
			oldest = v
		}
	}
	if oldest != nil {
		delete(t.versions, oldest.Name)
	}
	return oldest
}

// Seen records that a mapper of the version is connected, or was until now.
func (v *Version) Seen(now time.Time) { v.seen = now }

// Share returns the largest share of the chunks that the version may get; 1: no limit.
func (v *Version) Share() float64 { return v.quota.share }

// SetShare changes the share. Chunks that the version got before do not count.
func (v *Version) SetShare(share float64) { v.quota = newQuota(share) }

// Serves reports whether the version gets regular work: it is not a shadow, has a share above 0, and its breaker is
// closed. A version on probe does not serve, because its chunk may fail.
func (t *Table) Serves(v *Version) bool {
	return !t.Shadow.Covers(v.Name) && v.quota.share > 0 && v.Breaker.Closed()
}

// Eligible reports whether the version may get one more chunk now. held returns how many chunks its mappers hold; it is
// called only while the breaker is half-open.
func (t *Table) Eligible(now time.Time, v *Version, held func() int) bool {
	if t.Shadow.Covers(v.Name) || !v.quota.allows() {
		return false
	}
	return v.Breaker.allows(now, held)
}

// Assigned records that the version got a piece, which costs it credit and earns credit for every other limited
// version. Size is the piece's part of a full chunk, up to 1.
func (t *Table) Assigned(v *Version, size float64) {
	v.quota.spend(size)
	for _, other := range t.versions {
		if other != v {
			other.quota.earn(size)
		}
	}
}
