package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chunkline/chunkline/internal/sink"
)

// Sink is one job in a database.
type Sink struct {
	sink.Base

	db       *sql.DB
	dialect  dialect
	at       string // its location for people; no password
	job      string
	readOnly bool
	table    *table // of the user; nil: table outputs
	placer   placer

	// state is this process's view of the job. Only a newer state replaces it.
	state atomic.Pointer[state]

	changing sync.Mutex               // one change of this process at a time
	end      atomic.Pointer[endError] // why the sink no longer works; nil: it works
}

type endError struct{ error }

// Identity returns the sink's ID and its location.
func (s *Sink) Identity() (id, at string) { return s.state.Load().claims.ID, s.at }

// refreshTimeout bounds Refresh. The fetcher waits 5 s for an answer, which should tell it why the database cannot be
// read.
const refreshTimeout = 3 * time.Second

// Refresh implements saver.Sink: it loads the changes of other processes.
func (s *Sink) Refresh(ctx context.Context) error {
	return s.readWithin(ctx, refreshTimeout, "read job", func(ctx context.Context) error {
		now, err := s.load(ctx, s.db, false)
		if err == nil {
			s.adopt(now)
		}
		return err
	})
}

// Summary counts the committed results.
func (s *Sink) Summary() sink.Summary {
	now := s.state.Load()
	sum := now.totals.Summary()
	if now.finished {
		sum.Output = s.where(s.outputTable())
		if sum.Dead > 0 {
			sum.DeadFile = s.where("dead_letters")
		}
	}
	return sum
}

func (s *Sink) outputTable() string {
	if s.table != nil {
		return s.table.name
	}
	return "outputs"
}

// where describes the location of a table for people.
func (s *Sink) where(table string) string { return fmt.Sprintf("table %s of %s", table, s.at) }

// OpenOutput returns an error, because outputs are not in a file.
func (s *Sink) OpenOutput(dead bool) (sink.Merged, error) {
	name := s.outputTable()
	if dead {
		name = "dead_letters"
	}
	return sink.Merged{}, fmt.Errorf("the result is not a file: read it from %s", s.where(name))
}

// Close closes the connections. A second Close returns ErrClosed.
func (s *Sink) Close() error {
	old := s.end.Swap(&endError{fmt.Errorf("sink %s: %w", s.at, sink.ErrClosed)})
	if old != nil && errors.Is(old.error, sink.ErrClosed) {
		return old.error
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close sink %s: %w", s.at, err)
	}
	return nil
}

// usable returns an error if the sink no longer works, or if change is set and it is read-only.
func (s *Sink) usable(change bool) error {
	if end := s.end.Load(); end != nil {
		return end.error
	}
	if change && s.readOnly {
		return fmt.Errorf("sink %s: %w", s.at, sink.ErrReadOnly)
	}
	return nil
}

// breakDown makes the sink unusable after an unexpected error.
func (s *Sink) breakDown(err error) error {
	s.end.CompareAndSwap(nil, &endError{fmt.Errorf("sink %s: %w: %w", s.at, sink.ErrBroken, err)})
	return s.end.Load().error
}

// adopt replaces the known state by a newer one.
func (s *Sink) adopt(now *state) {
	for {
		old := s.state.Load()
		if old != nil && old.changes > now.changes || s.state.CompareAndSwap(old, now) {
			return
		}
	}
}

// state is the job's row and those of its versions. A published state is never changed.
type state struct {
	claims   *sink.Claims // without Claimants, except those that a change has looked up or added
	settings tableSettings
	changes  uint64
	finished bool
	totals   sink.Totals
}
