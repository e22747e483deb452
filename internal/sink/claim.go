package sink

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// maxFetcher bounds a fetcher's name, which comes over the network; bytes.
const maxFetcher = 256

// Claim gives fetcher an epoch, as Sink says.
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
	next := f.state.Load().next()
	old := next.claims
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
	if claimed.ID == "" {
		claimed.ID = rand.Text()
	}
	if claimed.Key == nil {
		claimed.Key = make([]byte, 32)
		rand.Read(claimed.Key) // never fails
	}
	next.claims = claimed
	if err := f.change(next, nil); err != nil {
		return Grant{}, err
	}
	return claimed.grant(), nil
}

// fence is a copy with a new epoch for who takes over.
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

// FenceVersion refuses what a version was given before, as Sink says.
func (f *Folder) FenceVersion(ctx context.Context, version string, term uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	next := f.state.Load().next()
	switch {
	case next.claims.Plan == nil:
		return fmt.Errorf("sink folder %s: fence version %q: %w", f.dir, version, ErrUnclaimed)
	case next.claims.Terms[version] >= term:
		return nil
	}
	next.claims = next.claims.fenceVersion(version, term)
	return f.change(next, nil)
}

// fenceVersion is a copy in which a version has another term.
func (c *claims) fenceVersion(version string, term uint64) *claims {
	next := *c
	next.Terms = maps.Clone(c.Terms)
	if next.Terms == nil {
		next.Terms = map[string]uint64{}
	}
	next.Terms[version] = term
	return &next
}

// bind is a copy that knows the transforms of the versions of results; c itself
// if that is nothing new.
func (c *claims) bind(results []*Result) *claims {
	next := c
	for _, r := range results {
		if r.Transform == "" || next.Transforms[r.Version] != "" {
			continue
		}
		if next == c {
			fresh := *c
			fresh.Transforms = maps.Clone(c.Transforms)
			if fresh.Transforms == nil {
				fresh.Transforms = map[string]string{}
			}
			next = &fresh
		}
		next.Transforms[r.Version] = r.Transform
	}
	return next
}

// mixes says whether the sink holds results of the version that another
// transform than r's has made.
func (c *claims) mixes(r *Result) bool {
	bound := c.Transforms[r.Version]
	return bound != "" && r.Transform != "" && bound != r.Transform
}

// unbind is a copy that forgets what a version did.
func (c *claims) unbind(version string) *claims {
	next := *c
	next.Transforms = maps.Clone(c.Transforms)
	delete(next.Transforms, version)
	return &next
}

// Transforms returns what the versions did to objects whose results are there.
// Do not change it.
func (f *Folder) Transforms() map[string]string { return f.state.Load().claims.Transforms }
