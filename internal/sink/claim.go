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
	if err := f.writable(); err != nil {
		return Grant{}, err
	}
	if err := ctx.Err(); err != nil {
		return Grant{}, err
	}
	if fetcher == "" || len(fetcher) > maxFetcher {
		return Grant{}, fmt.Errorf("claim by a fetcher with a name of %d bytes: %w", len(fetcher), ErrInvalid)
	}
	old := f.state.Load().claims
	if old.Plan != nil && *old.Plan != plan {
		return Grant{}, fmt.Errorf("sink folder %s: %w: it holds results of %s, this is %s; use another folder",
			f.dir, ErrOtherPlan, old.Plan, plan)
	}
	if c, ok := old.claimedBy(fetcher); ok {
		if c.Epoch == old.Epoch {
			return old.grant(), nil
		}
		return Grant{}, fmt.Errorf("sink folder %s: %w: epoch %d of %s is over, the newest is %d",
			f.dir, ErrFenced, c.Epoch, fetcher, old.Epoch)
	}
	claimed := old.fence(fetcher)
	claimed.Plan = &plan
	if claimed.Key == nil {
		claimed.Key = make([]byte, 32)
		rand.Read(claimed.Key) // never fails
	}
	if err := f.append([]frame{{kind: claimsKind, claims: claimed}}); err != nil {
		return Grant{}, err
	}
	return claimed.grant(), nil
}

// fence returns a copy in which fetcher has a new epoch.
func (c *claims) fence(fetcher string) *claims {
	next := *c
	next.Epoch++
	next.Claimants = append(slices.Clone(c.Claimants), claimant{Fetcher: fetcher, Epoch: next.Epoch})
	if n := len(next.Claimants) - maxClaimants; n > 0 {
		next.Claimants = next.Claimants[n:]
	}
	return &next
}

func (c *claims) grant() Grant {
	return Grant{Epoch: c.Epoch, Key: slices.Clone(c.Key), Terms: maps.Clone(c.Terms), Transforms: maps.Clone(c.Transforms)}
}

// FenceVersion implements saver.Sink.
func (f *Folder) FenceVersion(ctx context.Context, version string, term uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	now := f.state.Load().claims
	switch {
	case now.Plan == nil:
		return fmt.Errorf("sink folder %s: fence version %q: %w", f.dir, version, ErrUnclaimed)
	case now.Terms[version] >= term:
		return nil
	}
	return f.append([]frame{{kind: claimsKind, claims: now.fenceVersion(version, term)}})
}

// fenceVersion returns a copy with another term for a version.
func (c *claims) fenceVersion(version string, term uint64) *claims {
	next := *c
	next.Terms = maps.Clone(c.Terms)
	if next.Terms == nil {
		next.Terms = map[string]uint64{}
	}
	next.Terms[version] = term
	return &next
}

// bind returns a copy that records the transform of a result's version, or c itself if nothing changes.
func (c *claims) bind(r *Result) *claims {
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
func (c *claims) mixes(r *Result) bool {
	bound := c.Transforms[r.Version]
	return bound != "" && r.Transform != "" && bound != r.Transform
}

// unbind returns a copy without the transform of a version.
func (c *claims) unbind(version string) *claims {
	next := *c
	next.Transforms = maps.Clone(c.Transforms)
	delete(next.Transforms, version)
	return &next
}

// Transforms returns the transform of each version whose results are in the sink. The caller must not change the map.
func (f *Folder) Transforms() map[string]string { return f.state.Load().claims.Transforms }
