package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
)

// A Sink keeps everything in memory and fails as a test wants.
type Sink struct {
	// OnCommit, if not nil, is called with each group before it is committed.
	// It may wait; its error is Commit's. Set it before the sink is used.
	OnCommit func([]sink.Result) error

	// OnClaim, OnFinish and OnRefresh are the same for claims, for the merge and for reading what other savers recorded.
	OnClaim, OnFinish, OnRefresh func() error

	mu       sync.Mutex
	plan     *chunk.Plan          // guarded by mu
	epoch    uint64               // guarded by mu
	fetchers map[string]uint64    // guarded by mu; epochs
	pieces   pieces               // guarded by mu
	groups   [][]chunk.ID         // guarded by mu; the commits that succeeded
	finished bool                 // guarded by mu
	terms    map[string]uint64    // guarded by mu
	fenced   map[string]time.Time // guarded by mu; when a version's term last rose
	made     map[string]string    // guarded by mu; the transform of each version with committed results
}

var _ saver.Sink = (*Sink)(nil)

// NewSink returns an empty sink.
func NewSink() *Sink {
	return &Sink{fetchers: map[string]uint64{}, pieces: pieces{}, terms: map[string]uint64{}, fenced: map[string]time.Time{}, made: map[string]string{}}
}

var key = bytes.Repeat([]byte("k"), 32)

// Claim implements saver.Sink.
func (s *Sink) Claim(_ context.Context, plan chunk.Plan, fetcher string) (sink.Grant, error) {
	if s.OnClaim != nil {
		if err := s.OnClaim(); err != nil {
			return sink.Grant{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plan != nil && *s.plan != plan {
		return sink.Grant{}, fmt.Errorf("%w: %s", sink.ErrOtherPlan, s.plan)
	}
	epoch, known := s.fetchers[fetcher]
	switch {
	case known && epoch < s.epoch:
		return sink.Grant{}, sink.ErrFenced
	case !known:
		s.epoch++
		s.plan, s.fetchers[fetcher] = &plan, s.epoch
	}
	return sink.Grant{Epoch: s.epoch, Key: key, Terms: maps.Clone(s.terms), Transforms: maps.Clone(s.made)}, nil
}

// Plan implements saver.Sink.
func (s *Sink) Plan() (chunk.Plan, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plan == nil {
		return chunk.Plan{}, false
	}
	return *s.plan, true
}

// Epoch implements saver.Sink.
func (s *Sink) Epoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// Key implements saver.Sink.
func (s *Sink) Key() []byte {
	if _, bound := s.Plan(); !bound {
		return nil
	}
	return key
}

// Commit implements saver.Sink.
func (s *Sink) Commit(_ context.Context, group []sink.Result) ([]sink.Outcome, error) {
	if s.OnCommit != nil {
		if err := s.OnCommit(group); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	outcomes := make([]sink.Outcome, len(group))
	var ids []chunk.ID
	for i, r := range group {
		ids = append(ids, r.Chunk)
		outcomes[i] = s.outcome(r)
		if outcomes[i] != sink.Committed {
			continue
		}
		if r.Transform != "" {
			s.made[r.Version] = r.Transform
		}
		s.pieces.add(r)
	}
	s.groups = append(s.groups, ids)
	return outcomes, nil
}

// outcome returns what becomes of a result. The caller holds mu.
func (s *Sink) outcome(r sink.Result) sink.Outcome {
	covered, conflict := s.pieces.compare(r)
	switch {
	case conflict:
		return sink.Conflict
	case covered == r.Objects:
		return sink.Duplicate
	case covered > 0:
		return sink.Overlap
	case r.Term < s.terms[r.Version]:
		return sink.TooLate
	case s.made[r.Version] != "" && r.Transform != "" && s.made[r.Version] != r.Transform:
		return sink.OtherTransform
	}
	return sink.Committed
}

// List implements saver.Sink.
func (s *Sink) List(_ context.Context, from chunk.ID, limit int) ([]sink.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var entries []sink.Entry
	for _, id := range slices.Sorted(maps.Keys(s.pieces)) {
		if id >= from && uint64(id-from) < uint64(limit) {
			entries = s.pieces.entries(entries, id)
		}
	}
	return entries, nil
}

// Has implements saver.Sink.
func (s *Sink) Has(_ context.Context, ids []chunk.ID) ([]sink.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var entries []sink.Entry
	for _, id := range ids {
		entries = s.pieces.entries(entries, id)
	}
	return entries, nil
}

// Look implements saver.Sink.
func (s *Sink) Look(_ context.Context, id chunk.ID) ([]sink.Result, error) {
	found := s.Pieces(id)
	if len(found) == 0 {
		return nil, sink.ErrNoChunk
	}
	return found, nil
}

// DeadBelow implements saver.Sink.
func (s *Sink) DeadBelow(_ context.Context, below chunk.ID, limit int) (lines []byte, next chunk.ID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(s.pieces))) {
		switch all := s.pieces.joined(id); {
		case id >= below || all.DeadCount == 0:
		case limit <= 0:
			return lines, next, nil
		default:
			lines, next, limit = append(lines, all.Dead...), id, limit-all.DeadCount
		}
	}
	return lines, 0, nil
}

// Finish implements saver.Sink.
func (s *Sink) Finish(_ context.Context, chunks, objects uint64) (sink.Summary, error) {
	if s.OnFinish != nil {
		if err := s.OnFinish(); err != nil {
			return sink.Summary{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var first uint64
	for id := range chunks {
		all := s.pieces.joined(chunk.ID(id))
		if all.Objects == 0 || all.Objects < all.Of || all.First != first {
			return sink.Summary{}, fmt.Errorf("%w: of chunk %d it holds %d of %d objects, from ordinal %d on", sink.ErrIncomplete, id, all.Objects, all.Of, all.First)
		}
		first += uint64(all.Objects)
	}
	if uint64(len(s.pieces)) != chunks || first != objects {
		return sink.Summary{}, fmt.Errorf("%w: %d chunks of %d objects", sink.ErrIncomplete, len(s.pieces), first)
	}
	s.finished = true
	return s.summary(), nil
}

// Summary implements saver.Sink.
func (s *Sink) Summary() sink.Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.summary()
}

func (s *Sink) summary() sink.Summary {
	var sum sink.Summary
	for id, of := range s.pieces {
		if s.pieces.complete(id) {
			sum.Chunks++
		}
		for _, r := range of {
			sum.Objects += uint64(r.Objects)
			sum.Outputs += uint64(bytes.Count(r.Outputs, []byte{'\n'}))
			sum.OutputBytes += uint64(len(r.Outputs))
			sum.Dead += uint64(r.DeadCount)
		}
	}
	if s.finished {
		sum.Output = "memory"
	}
	return sum
}

// Identity implements saver.Sink: this sink has none.
func (s *Sink) Identity() (id, at string) { return "", "" }

// Refresh implements saver.Sink. A simulated sink has one process; OnRefresh plays the others.
func (s *Sink) Refresh(context.Context) error {
	if s.OnRefresh != nil {
		return s.OnRefresh()
	}
	return nil
}

// OnSync implements saver.Sink: memory is never synced.
func (s *Sink) OnSync(func(took time.Duration)) {}

// Close implements saver.Sink.
func (s *Sink) Close() error { return nil }

// Open returns the sink as one saver process uses it. Once dead is closed, no write reaches the
// sink, not even for requests that the saver had already accepted.
func (s *Sink) Open(dead <-chan struct{}) saver.Sink { return opened{Sink: s, dead: dead} }

type opened struct {
	*Sink
	dead <-chan struct{}
}

var errDead = errors.New("the process of this saver is dead")

func (o opened) alive() error {
	select {
	case <-o.dead:
		return errDead
	default:
		return nil
	}
}

// Claim implements saver.Sink.
func (o opened) Claim(ctx context.Context, plan chunk.Plan, fetcher string) (sink.Grant, error) {
	if err := o.alive(); err != nil {
		return sink.Grant{}, err
	}
	return o.Sink.Claim(ctx, plan, fetcher)
}

// Commit implements saver.Sink.
func (o opened) Commit(ctx context.Context, group []sink.Result) ([]sink.Outcome, error) {
	if err := o.alive(); err != nil {
		return nil, err
	}
	return o.Sink.Commit(ctx, group)
}

// Finish implements saver.Sink.
func (o opened) Finish(ctx context.Context, chunks, objects uint64) (sink.Summary, error) {
	if err := o.alive(); err != nil {
		return sink.Summary{}, err
	}
	return o.Sink.Finish(ctx, chunks, objects)
}

// Groups returns the chunks of each commit, duplicates too.
func (s *Sink) Groups() [][]chunk.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.groups)
}

// Result returns what the sink holds of a chunk, as one result, and whether that is all of the
// chunk. Version and the like are those of its first piece.
func (s *Sink) Result(id chunk.ID) (r sink.Result, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pieces.joined(id), s.pieces.complete(id)
}

// Pieces returns the committed pieces of a chunk, ascending.
func (s *Sink) Pieces(id chunk.ID) []sink.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pieces[id])
}

// Content returns all outputs and all dead letters in input order.
func (s *Sink) Content() (outputs, dead string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.pieces)) {
		all := s.pieces.joined(id)
		outputs, dead = outputs+string(all.Outputs), dead+string(all.Dead)
	}
	return outputs, dead
}
