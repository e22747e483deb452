package sink

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// maxFetcher bounds the length in bytes of a fetcher's name, which comes from the network.
const maxFetcher = 256

// Claim implements saver.Sink.
func (f *Folder) Claim(ctx context.Context, plan chunk.Plan, fetcher string) (Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.changeable(ctx); err != nil {
		return Grant{}, err
	}
	old := f.state.Load().claims
	claimed, err := old.Claim(plan, fetcher)
	if err != nil {
		return Grant{}, fmt.Errorf("sink folder %s: %w", f.dir, err)
	}
	if claimed != old {
		if err := f.append([]frame{{kind: claimsKind, claims: claimed}}); err != nil {
			return Grant{}, err
		}
	}
	return claimed.Grant(), nil
}

// Claim returns the claims after a claim by fetcher: c itself if fetcher has the newest epoch already. Errors are
// ErrInvalid, ErrOtherPlan and ErrFenced.
func (c *Claims) Claim(plan chunk.Plan, fetcher string) (*Claims, error) {
	switch before, known := c.claimedBy(fetcher); {
	case fetcher == "" || len(fetcher) > maxFetcher:
		return nil, fmt.Errorf("claim by a fetcher with a name of %d bytes: %w", len(fetcher), ErrInvalid)
	case c.Plan != nil && *c.Plan != plan:
		return nil, fmt.Errorf("%w: it was begun with %s, this is %s; use another sink", ErrOtherPlan, c.Plan, plan)
	case known && before.Epoch == c.Epoch:
		return c, nil
	case known:
		return nil, fmt.Errorf("%w: epoch %d of %s is over, the newest is %d", ErrFenced, before.Epoch, fetcher, c.Epoch)
	}
	claimed := c.fence(fetcher)
	claimed.Plan = &plan
	if claimed.Key == nil {
		claimed.Key = make([]byte, 32)
		rand.Read(claimed.Key) // never fails
	}
	return claimed, nil
}

// fence returns a copy in which fetcher has a new epoch.
func (c *Claims) fence(fetcher string) *Claims {
	next := *c
	next.Epoch++
	next.Claimants = append(slices.Clone(c.Claimants), Claimant{Fetcher: fetcher, Epoch: next.Epoch})
	if n := len(next.Claimants) - maxClaimants; n > 0 {
		next.Claimants = next.Claimants[n:]
	}
	return &next
}

// Grant returns the grant of the newest fetcher.
func (c *Claims) Grant() Grant {
	return Grant{Epoch: c.Epoch, Key: slices.Clone(c.Key), Terms: maps.Clone(c.Terms), Transforms: maps.Clone(c.Transforms)}
}

// FenceVersion implements saver.Sink.
func (f *Folder) FenceVersion(ctx context.Context, version string, term uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.changeable(ctx); err != nil {
		return err
	}
	now := f.state.Load().claims
	switch {
	case now.Plan == nil:
		return fmt.Errorf("sink folder %s: fence version %q: %w", f.dir, version, ErrUnclaimed)
	case now.Terms[version] >= term:
		return nil
	}
	return f.append([]frame{{kind: claimsKind, claims: now.FenceVersion(version, term)}})
}

// FenceVersion returns a copy with another term for a version.
func (c *Claims) FenceVersion(version string, term uint64) *Claims {
	next := *c
	next.Terms = maps.Clone(c.Terms)
	if next.Terms == nil {
		next.Terms = map[string]uint64{}
	}
	next.Terms[version] = term
	return &next
}

// Bind returns a copy that records the transform of a result's version, or c itself if nothing changes.
func (c *Claims) Bind(r *Result) *Claims {
	if r.Transform == "" || c.Transforms[r.Version] != "" {
		return c
	}
	next := *c
	next.Transforms = maps.Clone(c.Transforms)
	if next.Transforms == nil {
		next.Transforms = map[string]string{}
	}
	next.Transforms[r.Version] = r.Transform
	return &next
}

// mixes reports whether the sink holds results of the same version from another transform than r's.
func (c *Claims) mixes(r *Result) bool {
	bound := c.Transforms[r.Version]
	return bound != "" && r.Transform != "" && bound != r.Transform
}

// unbind returns a copy without the transform of a version.
func (c *Claims) unbind(version string) *Claims {
	next := *c
	next.Transforms = maps.Clone(c.Transforms)
	delete(next.Transforms, version)
	return &next
}

// Redo returns a copy for the removal of a version's results: with a new epoch, which fences the running fetcher, with
// the version fenced, and without its transform.
func (c *Claims) Redo(version string) *Claims {
	return c.fence("redo-"+rand.Text()).FenceVersion(version, c.Terms[version]+1).unbind(version)
}
