package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// Sink is one job in a database.
type Sink struct {
	db       *sql.DB
	dialect  dialect
	at       string // its location for people; no password
	job      string
	readOnly bool
	table    *table // of the user; nil: table outputs
	placer   placer
	onSync   func(file string, took time.Duration)

	// state is this process's view of the job. Only a newer state replaces it.
	state atomic.Pointer[state]

	changing sync.Mutex               // one change of this process at a time
	end      atomic.Pointer[endError] // why the sink no longer works; nil: it works
}

type endError struct{ error }

// Job returns the job that the sink is open for.
func (s *Sink) Job() string { return s.job }

// Identity returns the sink's ID and its location.
func (s *Sink) Identity() (id, at string) { return s.state.Load().id, s.at }

// Plan returns the plan that the job is bound to; false before the first claim.
func (s *Sink) Plan() (chunk.Plan, bool) {
	if p := s.state.Load().plan; p != nil {
		return *p, true
	}
	return chunk.Plan{}, false
}

// Epoch returns the newest granted epoch.
func (s *Sink) Epoch() uint64 { return s.state.Load().epoch }

// Key returns the key of every Grant. The caller must not change it.
func (s *Sink) Key() []byte { return s.state.Load().key }

// Term returns how often a version was fenced.
func (s *Sink) Term(version string) uint64 { return s.state.Load().versions[version].term }

// Transforms returns the transform of each version whose results are in the sink.
func (s *Sink) Transforms() map[string]string { return s.state.Load().transforms() }

// OnSync sets the function that is called with the duration of each COMMIT. Set it before the sink is used.
func (s *Sink) OnSync(tell func(file string, took time.Duration)) { s.onSync = tell }

// Refresh implements saver.Sink: it loads the changes of other processes.
func (s *Sink) Refresh(ctx context.Context) error {
	return s.read(ctx, "read job", func(ctx context.Context) error {
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
	sum := sink.Summary{
		Chunks: now.totals.chunks, Objects: now.totals.objects, Outputs: now.totals.outputs, Dead: now.totals.dead, OutputBytes: now.totals.outputBytes,
	}
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
	return sink.Merged{}, fmt.Errorf("the result is no file: read it from %s", s.where(name))
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
	id       string
	target   string // table of the user; "": outputs
	plan     *chunk.Plan
	key      []byte
	epoch    uint64
	changes  uint64
	finished bool
	totals   totals
	versions map[string]version
}

type version struct {
	term      uint64
	transform string // "": unknown
}

// totals is a sum over pieces. chunks counts complete chunks.
type totals struct{ chunks, objects, outputs, dead, outputBytes, deadBytes uint64 }

func (t *totals) add(r *sink.Record) {
	t.objects += uint64(r.Objects)
	t.outputs += r.OutputCount()
	t.dead += uint64(r.DeadCount)
	t.outputBytes += uint64(r.Outputs.Length)
	t.deadBytes += uint64(r.Dead.Length)
}

func (t *totals) remove(r *sink.Record) {
	t.objects -= uint64(r.Objects)
	t.outputs -= r.OutputCount()
	t.dead -= uint64(r.DeadCount)
	t.outputBytes -= uint64(r.Outputs.Length)
	t.deadBytes -= uint64(r.Dead.Length)
}

func (n *state) transforms() map[string]string {
	known := map[string]string{}
	for name, v := range n.versions {
		if v.transform != "" {
			known[name] = v.transform
		}
	}
	return known
}

func (n *state) terms() map[string]uint64 {
	fenced := map[string]uint64{}
	for name, v := range n.versions {
		if v.term > 0 {
			fenced[name] = v.term
		}
	}
	return fenced
}

func (n *state) grant() sink.Grant {
	return sink.Grant{Epoch: n.epoch, Key: slices.Clone(n.key), Terms: n.terms(), Transforms: n.transforms()}
}
