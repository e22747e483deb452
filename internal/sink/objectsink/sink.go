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
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/tabular"
)

// Sink is one job in a bucket.
type Sink struct {
	sink.View

	store    store
	o        settings
	readOnly bool
	onSync   func(file string, took time.Duration)

	finishing sync.Mutex // one Finish at a time; taken before changing
	changing  sync.Mutex // one change, or reading of the others' changes, at a time
	cache     cache

	// state is this process's view of the log. It is replaced, with changing and mu held, by each entry.
	state atomic.Pointer[state]

	mu    sync.RWMutex // guards table
	table *sink.Table

	closed atomic.Bool
}

// state is what the log adds up to, except for the table. A published *state is never changed.
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

// Job returns the job that the sink belongs to.
func (s *Sink) Job() string { return s.state.Load().claims.Job }

// Identity returns the sink's ID, which does not depend on the process that has it open, and its location.
func (s *Sink) Identity() (id, at string) { return s.id(), s.o.at() }

// Plan returns the plan that the sink is bound to; false before the first claim.
func (s *Sink) Plan() (chunk.Plan, bool) {
	if p := s.state.Load().claims.Plan; p != nil {
		return *p, true
	}
	return chunk.Plan{}, false
}

// Epoch returns the newest granted epoch.
func (s *Sink) Epoch() uint64 { return s.state.Load().claims.Epoch }

// Key returns the key of every Grant. The caller must not change it.
func (s *Sink) Key() []byte { return s.state.Load().claims.Key }

// Term returns how often a version was fenced.
func (s *Sink) Term(version string) uint64 { return s.state.Load().claims.Terms[version] }

// Transforms returns the transform of each version whose results are in the sink. The caller must not change the map.
func (s *Sink) Transforms() map[string]string { return s.state.Load().claims.Transforms }

// OnSync sets the function that is called with the duration of each write of an entry. Set it before the sink is used.
func (s *Sink) OnSync(tell func(file string, took time.Duration)) { s.onSync = tell }

// Summary counts the committed results. It names the parts as a pattern.
func (s *Sink) Summary() sink.Summary {
	now := s.state.Load()
	t := now.totals
	sum := sink.Summary{Chunks: t.Chunks, Objects: t.Objects, Outputs: t.Outputs, Dead: t.Dead, OutputBytes: t.OutputBytes}
	if now.finished(s.o) {
		sum.Output = s.pattern(outputParts)
		if t.Dead > 0 {
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
	return sink.Merged{}, fmt.Errorf("the result is no file: read it from %s", s.pattern(kind))
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

// Refresh implements saver.Sink: it reads the entries of other processes.
func (s *Sink) Refresh(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.usable(false); err != nil {
		return err
	}
	return s.catchUp(ctx)
}

// catchUp reads and applies the entries after the newest known one. Call it with changing held.
func (s *Sink) catchUp(ctx context.Context) error {
	for {
		l, err := s.read(ctx, s.state.Load().number+1)
		switch {
		case errors.Is(err, bucket.ErrGone):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
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
