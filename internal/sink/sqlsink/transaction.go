package sqlsink

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/sink"
)

// A change is retried until patience is over, and each try of a commit may take tryTimeout, and its COMMIT commitGrace
// longer. Their sum is less than the time after which the saver's health check considers its commit loop dead.
const (
	patience    = 5 * time.Second
	tryTimeout  = 20 * time.Second
	commitGrace = 2 * time.Second
	firstPause  = 20 * time.Millisecond
	mostPause   = time.Second
)

// change runs do in a transaction that has locked the job's row, and commits it. It retries after deadlocks and
// outages, so do must start from scratch each time. The answer to a COMMIT may be lost: then do is called again, and
// must find out whether the try before has made the change. limit bounds one try; 0 means no limit.
//
// The transaction writes the job's row even if do changes nothing. PostgreSQL with synchronous replication may show a
// commit that no standby has, because its client gave up waiting. The data that do has read is certain to be on a
// standby only once a later COMMIT is answered.
//
// An error of ctx means that nothing was changed. The error is ErrUnreachable if that is unknown.
func (s *Sink) change(ctx context.Context, limit time.Duration, do func(context.Context, *tx, *state) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.usable(true); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	begin := time.Now()
	var lost error // the error of the last COMMIT whose answer was lost
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		err := s.try(ctx, limit, do)
		if err == nil {
			return nil
		}
		kind := s.classify(err)
		if errors.Is(err, errCommit) && (kind == away || kind == unexpected) {
			lost = fmt.Errorf("%w: its answer was lost, so the change may have been made", err)
		}
		switch {
		case (kind == again || kind == away) && ctx.Err() == nil && time.Since(begin) <= patience:
			_ = backoff.Sleep(ctx, pause/2+rand.N(pause/2)) // the next try returns the end of ctx
			continue
		case ctx.Err() != nil && lost != nil:
			return fmt.Errorf("sink %s: %w: %w", s.at, sink.ErrUnreachable, lost)
		case ctx.Err() != nil:
			return fmt.Errorf("sink %s: %w", s.at, ctx.Err())
		case kind == again || kind == away:
			return fmt.Errorf("sink %s: %w: %w", s.at, sink.ErrUnreachable, cmp.Or(lost, err))
		case kind == full:
			return fmt.Errorf("sink %s: %w: %w", s.at, sink.ErrFull, err)
		case isRefusal(err):
			return fmt.Errorf("sink %s: %w", s.at, err)
		}
		return s.breakDown(err)
	}
}

// isRefusal reports whether an error is the sink's own answer to a request, and not an error of the database.
func isRefusal(err error) bool {
	return slices.ContainsFunc([]error{
		sink.ErrUnclaimed, sink.ErrOtherPlan, sink.ErrFenced, sink.ErrInvalid, sink.ErrNoChunk, sink.ErrChanged, sink.ErrConflict, sink.ErrIncomplete, sink.ErrSettings, errKept,
	}, func(answer error) bool { return errors.Is(err, answer) })
}

// errCommit marks the error of a COMMIT.
var errCommit = errors.New("commit")

func (s *Sink) try(ctx context.Context, limit time.Duration, do func(context.Context, *tx, *state) error) (err error) {
	if limit > 0 {
		caller := ctx
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, limit)
		defer func() {
			if err != nil && ctx.Err() != nil && caller.Err() == nil {
				err = fmt.Errorf("it took more than %s: the server does not answer, or another program has locked rows that the change needs: %w", limit, err)
			}
			done()
		}()
	}
	t, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer t.end()
	now, err := s.load(ctx, t, true)
	if err != nil {
		return err
	}
	if known := s.state.Load(); now.changes < known.changes {
		return fmt.Errorf("%w: the database has %d changes of job %s, and had %d: it was restored, or a standby without the last commits took over; "+
			"restart the saver and the fetcher, and what is missing is mapped again", sink.ErrDamaged, now.changes, s.job, known.changes)
	}
	old := now.claims
	if err := do(ctx, t, now); err != nil {
		return err
	}
	now.changes++
	if err := s.store(ctx, t, now, old); err != nil {
		return err
	}
	if err := s.Timed(t.Commit); err != nil {
		return fmt.Errorf("%w: %w", errCommit, err)
	}
	s.adopt(now)
	return nil
}

// begin begins a transaction on its own connection. The end of ctx interrupts its statements, but not COMMIT: the
// outcome would be unknown. So the transaction ends commitGrace after ctx.
func (s *Sink) begin(ctx context.Context) (*tx, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(commitGrace, cut) })
	release := func() {
		stop()
		cut()
	}
	// Each statement must see earlier commits of other transactions. The lock on the job's row needs that.
	begun, err := conn.BeginTx(life, &sql.TxOptions{Isolation: s.dialect.isolation()})
	if err != nil {
		release()
		return nil, errors.Join(fmt.Errorf("begin transaction: %w", err), conn.Close())
	}
	return &tx{Tx: begun, conn: conn, dialect: s.dialect, release: release}, nil
}

// end rolls back a transaction that was not committed.
func (t *tx) end() {
	_ = t.Rollback() // no effect after a commit; after an outage the server rolls back
	_ = t.conn.Close()
	t.release()
}

// classify also handles errors that do not come from the database.
func (s *Sink) classify(err error) class {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return away
	}
	return s.dialect.classify(err)
}

// read runs do, which only reads. An error leaves the sink usable.
func (s *Sink) read(ctx context.Context, what string, do func(context.Context) error) error {
	return s.readWithin(ctx, readTimeout, what, do)
}

// readWithin is read with a limit. Where packets vanish, as to a host that has lost its power, only the limit ends a
// wait for the server within minutes.
func (s *Sink) readWithin(ctx context.Context, limit time.Duration, what string, do func(context.Context) error) error {
	if err := s.usable(false); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, done := context.WithTimeout(ctx, limit)
	defer done()
	err := do(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("sink %s: %s: %w", s.at, what, ctx.Err())
	case errors.Is(err, sink.ErrDamaged), errors.Is(err, sink.ErrNoChunk):
		return err
	}
	switch s.classify(err) {
	case again, away:
		return fmt.Errorf("sink %s: %s: %w: %w", s.at, what, sink.ErrUnreachable, err)
	case full: // temporary files of the server
		return fmt.Errorf("sink %s: %s: %w: %w", s.at, what, sink.ErrFull, err)
	default:
		return fmt.Errorf("sink %s: %s: %w", s.at, what, err)
	}
}
