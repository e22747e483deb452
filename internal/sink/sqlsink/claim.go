package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// Claim implements saver.Sink.
func (s *Sink) Claim(ctx context.Context, plan chunk.Plan, fetcher string) (sink.Grant, error) {
	var grant sink.Grant
	err := s.change(ctx, tryTimeout, func(ctx context.Context, t *tx, now *state) error {
		before, known, err := s.claimant(ctx, t, fetcher)
		if err != nil {
			return err
		}
		if known {
			now.claims.Claimants = []sink.Claimant{before}
		}
		claimed, err := now.claims.Claim(plan, fetcher)
		if errors.Is(err, sink.ErrOtherPlan) {
			return fmt.Errorf("%w or another job name", err)
		}
		if err != nil {
			return err
		}
		grant = claimed.Grant()
		now.claims = claimed
		return nil
	})
	return grant, err
}

// claimant looks a fetcher up among those that have claimed the job.
func (s *Sink) claimant(ctx context.Context, t *tx, fetcher string) (c sink.Claimant, known bool, err error) {
	c.Fetcher = fetcher
	err = t.QueryRowContext(ctx, s.dialect.text("SELECT epoch FROM chunkline_fetchers WHERE job = $1 AND fetcher = $2"), s.job, fetcher).Scan(&c.Epoch)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return c, false, nil
	case err != nil:
		return c, false, fmt.Errorf("read claims: %w", err)
	}
	return c, true, nil
}

// FenceVersion implements saver.Sink.
func (s *Sink) FenceVersion(ctx context.Context, version string, term uint64) error {
	return s.change(ctx, tryTimeout, func(_ context.Context, _ *tx, now *state) error {
		switch {
		case now.claims.Plan == nil:
			return fmt.Errorf("fence version %q: %w", version, sink.ErrUnclaimed)
		case now.claims.Terms[version] >= term:
			return nil
		}
		now.claims = now.claims.FenceVersion(version, term)
		return nil
	})
}
