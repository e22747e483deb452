package sqlsink

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// maxFetcher bounds the length in bytes of a fetcher's name, which comes from the network.
const maxFetcher = 256

// Claim implements saver.Sink.
func (s *Sink) Claim(ctx context.Context, plan chunk.Plan, fetcher string) (sink.Grant, error) {
	if fetcher == "" || len(fetcher) > maxFetcher {
		return sink.Grant{}, fmt.Errorf("claim by a fetcher with a name of %d bytes: %w", len(fetcher), sink.ErrInvalid)
	}
	var grant sink.Grant
	err := s.change(ctx, tryTimeout, func(ctx context.Context, t *tx, now *state) (bool, error) {
		if now.plan != nil && *now.plan != plan {
			return false, fmt.Errorf("%w: job %s holds results of %s, this is %s; use another job name or another database", sink.ErrOtherPlan, s.job, now.plan, plan)
		}
		var epoch uint64
		err := t.QueryRowContext(ctx, s.dialect.text("SELECT epoch FROM chunkline_fetchers WHERE job = $1 AND fetcher = $2"), s.job, fetcher).Scan(&epoch)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return false, fmt.Errorf("read claims: %w", err)
		case epoch == now.epoch:
			grant = now.grant()
			return false, nil
		default:
			return false, fmt.Errorf("%w: epoch %d of %s is over, the newest is %d", sink.ErrFenced, epoch, fetcher, now.epoch)
		}
		if now.key == nil {
			now.key = make([]byte, 32)
			rand.Read(now.key) // never fails
		}
		now.plan = &plan
		if err := s.fence(ctx, t, now, fetcher); err != nil {
			return false, err
		}
		grant = now.grant()
		return true, nil
	})
	return grant, err
}

// fence gives the job a new epoch, for fetcher.
func (s *Sink) fence(ctx context.Context, t *tx, now *state, fetcher string) error {
	now.epoch++
	_, err := t.exec(ctx, "INSERT INTO chunkline_fetchers (job, fetcher, epoch) VALUES ($1, $2, $3)", s.job, fetcher, int64(now.epoch))
	if err != nil {
		return fmt.Errorf("write claim: %w", err)
	}
	return nil
}

// FenceVersion implements saver.Sink.
func (s *Sink) FenceVersion(ctx context.Context, name string, term uint64) error {
	return s.change(ctx, tryTimeout, func(ctx context.Context, t *tx, now *state) (bool, error) {
		v := now.versions[name]
		switch {
		case now.plan == nil:
			return false, fmt.Errorf("fence version %q: %w", name, sink.ErrUnclaimed)
		case v.term >= term:
			return false, nil
		}
		v.term = term
		return true, s.storeVersion(ctx, t, now, name, v)
	})
}
