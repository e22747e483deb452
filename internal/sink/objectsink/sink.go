package objectsink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/tabular"
)

// Sink is one job in a bucket.
type Sink struct {
	sink.View
	sink.Base

	store    bucket.Bucket
	o        settings
	readOnly bool

	finishing sync.Mutex // one Finish at a time; taken before changing
	changing  sync.Mutex // one change, or reading of the others' changes, at a time
	cache     cache

	// state is this process's view of the log. It is replaced, with changing and mu held, by each entry.
	state atomic.Pointer[state]

	mu    sync.RWMutex // guards table
	table *sink.Table

	closed atomic.Bool
}

// state is the outcome of all entries of the log, except for the table. A published *state is never changed.
type state struct {
	number  uint64 // of the newest entry
	claims  *sink.Claims
	totals  sink.Totals
	content uint64 // number of the newest entry that changed the committed pieces

	generations []generation // all that Finish has begun, the newest last
	done        string       // name of the generation that was completed last
}

// id returns the sink's ID; "" before the first entry was read.
func (s *Sink) id() string {
	if now := s.state.Load(); now.claims != nil {
		return now.claims.ID
	}
	return ""
}

// Identity returns the sink's ID, which does not depend on the process that has it open, and its location.
func (s *Sink) Identity() (id, at string) { return s.id(), s.o.at() }

// Summary counts the committed results. It names the parts as a pattern.
func (s *Sink) Summary() sink.Summary {
	now := s.state.Load()
	sum := now.totals.Summary()
	if _, finished := now.finished(s.o); finished {
		sum.Output = s.pattern(outputParts)
		if sum.Dead > 0 {
			sum.DeadFile = s.pattern(deadParts)
		}
	}
	return sum
}

// OpenOutput returns an error, because the outputs are in the bucket.
func (s *Sink) OpenOutput(dead bool) (sink.Merged, error) {
	kind := outputParts
	if dead {
		kind = deadParts
	}
	return sink.Merged{}, fmt.Errorf("the result is not a file: read it from %s", s.pattern(kind))
}

// Locked implements sink.TableOwner.
func (s *Sink) Locked(ctx context.Context, do func(*sink.Table)) error {
	if err := s.usable(false); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	do(s.table)
	return nil
}

// refreshTimeout bounds Refresh. The fetcher waits 5 s for an answer, which should tell it why the store cannot be read.
const refreshTimeout = 3 * time.Second

// Refresh implements saver.Sink: it reads the entries of other processes. Commits wait for it, so it does not take long
// while the store does not answer. What it has read until then is kept.
func (s *Sink) Refresh(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.usable(false); err != nil {
		return err
	}
	limited, done := context.WithTimeout(ctx, refreshTimeout)
	defer done()
	err := s.catchUp(limited)
	if limited.Err() != nil && ctx.Err() == nil && err != nil {
		return s.name(fmt.Errorf("%w: reading the log takes more than %s: %w", sink.ErrUnreachable, refreshTimeout, err))
	}
	return err
}

// catchUp reads and applies the entries after the newest known one. Call it with changing held.
func (s *Sink) catchUp(ctx context.Context) error {
	for {
		l, err := s.read(ctx, s.state.Load().number+1)
		switch {
		case errors.Is(err, bucket.ErrGone):
			return nil
		case ctx.Err() != nil && err == nil:
			return ctx.Err()
		case ctx.Err() != nil:
			return err
		case err == nil:
			err = s.admit(l)
		}
		if err != nil {
			return s.name(explain(err))
		}
	}
}

// apply updates table and state from the next entry. Call it with changing held.
func (s *Sink) apply(l *loaded) {
	if len(l.records) > 0 {
		s.cache.keep(l)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.state.Load()
	next.number = l.Number
	if l.Claims != nil {
		next.claims = l.Claims
	}
	if l.Gone != nil {
		next.totals.Remove(l.Gone.Totals)
		for _, p := range l.Gone.Pieces {
			if s.table.Complete(p.Chunk) {
				next.totals.Chunks--
			}
			s.table.Remove(p.Chunk, p.From)
		}
	}
	for i := range l.records {
		r := &l.records[i]
		next.totals.Add(r)
		s.table.Set(sink.Placed{Entry: r.Entry(), At: sink.PositionOf(placeOf(l.Number, i), r.DeadCount > 0)})
		if s.table.Complete(r.Chunk) {
			next.totals.Chunks++
		}
	}
	if l.Gone != nil || len(l.records) > 0 {
		next.content = l.Number
	}
	switch g := l.Generation; {
	case g != nil && g.Done:
		next.done = g.Name
	case g != nil:
		next.generations = append(slices.Clone(next.generations), *g)
	}
	s.state.Store(&next)
}

// Close closes the connections. A second Close returns ErrClosed.
func (s *Sink) Close() error {
	if s.closed.Swap(true) {
		return s.name(sink.ErrClosed)
	}
	return s.store.Close()
}

// usable returns an error if the sink was closed, or if change is set and it is read-only.
func (s *Sink) usable(change bool) error {
	switch {
	case s.closed.Load():
		return s.name(sink.ErrClosed)
	case change && s.readOnly:
		return s.name(sink.ErrReadOnly)
	}
	return nil
}

// A namedError has the sink's location.
type namedError struct {
	at  string
	err error
}

func (e *namedError) Error() string { return "sink " + e.at + ": " + e.err.Error() }
func (e *namedError) Unwrap() error { return e.err }

// name adds the sink's location to an error, once.
func (s *Sink) name(err error) error {
	if _, named := errors.AsType[*namedError](err); named {
		return err
	}
	return &namedError{s.o.at(), err}
}

// explain adds sink.ErrUnreachable to the error of a request, unless it is one of the errors that callers distinguish.
func explain(err error) error {
	for _, known := range []error{
		sink.ErrSettings, sink.ErrNotSink, sink.ErrForeign, sink.ErrOtherJob, sink.ErrFormat, sink.ErrDamaged, sink.ErrFull, sink.ErrUnreachable,
		sink.ErrClosed, sink.ErrReadOnly, tabular.ErrNoRow, tabular.ErrNoTable,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", sink.ErrUnreachable, err)
}
