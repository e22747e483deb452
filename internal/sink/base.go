package sink

import (
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A Base has the methods that every kind of sink answers from its claims, and measures syncs. A kind embeds it.
type Base struct {
	claims func() *Claims
	onSync func(took time.Duration)
}

// BaseOf returns the base of a sink. The function claims returns the newest claims.
func BaseOf(claims func() *Claims) Base { return Base{claims: claims} }

// Job returns the job that the sink is open for.
func (b *Base) Job() string { return b.claims().Job }

// Plan returns the plan that the job is bound to; false before the first claim.
func (b *Base) Plan() (chunk.Plan, bool) {
	if p := b.claims().Plan; p != nil {
		return *p, true
	}
	return chunk.Plan{}, false
}

// Epoch returns the newest granted epoch.
func (b *Base) Epoch() uint64 { return b.claims().Epoch }

// Key returns the key of every Grant. The caller must not change it.
func (b *Base) Key() []byte { return b.claims().Key }

// Term returns how often a version was fenced.
func (b *Base) Term(version string) uint64 { return b.claims().Terms[version] }

// Transforms returns the transform of each version whose results are in the sink. The caller must not change the map.
func (b *Base) Transforms() map[string]string { return b.claims().Transforms }

// OnSync sets the function that is called with the duration of each step that makes a commit durable. Set it before the
// sink is used.
func (b *Base) OnSync(tell func(took time.Duration)) { b.onSync = tell }

// Timed runs a step that makes a commit durable, and reports its duration.
func (b *Base) Timed(step func() error) error {
	begin := time.Now()
	err := step()
	if b.onSync != nil {
		b.onSync(time.Since(begin))
	}
	return err
}
