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

// A Sink keeps everything in memory and does what a test wants to go wrong.
type Sink struct {
	// OnCommit, if not nil, is called with each group before it is committed.
	// It may wait; its error is Commit's. Set it before the sink is used.
	OnCommit func([]sink.Result) error

	// OnClaim and OnFinish are the same for claims and for the merge.
	OnClaim, OnFinish func() error

	mu       sync.Mutex
	plan     *chunk.Plan              // guarded by mu
	epoch    uint64                   // guarded by mu
	fetchers map[string]uint64        // guarded by mu; epochs
	results  map[chunk.ID]sink.Result // guarded by mu
	groups   [][]chunk.ID             // guarded by mu; the commits that succeeded
	finished bool                     // guarded by mu
	terms    map[string]uint64        // guarded by mu
	fenced   map[string]time.Time     // guarded by mu; when a version's term came
	made     map[string]string        // guarded by mu; the transform of each version whose results are there
}

var _ saver.Sink = (*Sink)(nil)

// NewSink returns an empty sink.
func NewSink() *Sink {
	return &Sink{fetchers: map[string]uint64{}, results: map[chunk.ID]sink.Result{}, terms: map[string]uint64{}, fenced: map[string]time.Time{}, made: map[string]string{}}
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
		old, there := s.results[r.Chunk]
		switch {
		case !there && r.Term < s.terms[r.Version]:
			outcomes[i] = sink.TooLate
		case !there && s.made[r.Version] != "" && r.Transform != "" && s.made[r.Version] != r.Transform:
			outcomes[i] = sink.OtherTransform
		case !there:
			if r.Transform != "" {
				s.made[r.Version] = r.Transform
			}
			s.results[r.Chunk], outcomes[i] = r, sink.Committed
		case old.Digest == r.Digest && old.First == r.First:
			outcomes[i] = sink.Duplicate
		default:
			outcomes[i] = sink.Conflict
		}
	}
	s.groups = append(s.groups, ids)
	return outcomes, nil
}

// List implements saver.Sink.
func (s *Sink) List(_ context.Context, from chunk.ID, limit int) ([]sink.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var entries []sink.Entry
	for id, r := range s.results {
		if id >= from && uint64(id-from) < uint64(limit) {
			entries = append(entries, sink.Entry{ID: id, From: r.From, Objects: r.Objects, Of: r.Of, Digest: r.Digest})
		}
	}
	slices.SortFunc(entries, func(a, b sink.Entry) int { return int(a.ID) - int(b.ID) })
	return entries, nil
}

// DeadBelow implements saver.Sink.
func (s *Sink) DeadBelow(_ context.Context, below chunk.ID, limit int) (lines []byte, next chunk.ID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(s.results))) {
		switch r := s.results[id]; {
		case id >= below || r.DeadCount == 0:
		case limit <= 0:
			return lines, next, nil
		default:
			lines, next, limit = append(lines, r.Dead...), id, limit-r.DeadCount
		}
	}
	return lines, 0, nil
}

// Look implements saver.Sink.
func (s *Sink) Look(_ context.Context, id chunk.ID) ([]sink.Result, error) {
	r, there := s.Result(id)
	if !there {
		return nil, sink.ErrNoChunk
	}
	return []sink.Result{r}, nil
}

// Has implements saver.Sink.
func (s *Sink) Has(_ context.Context, ids []chunk.ID) ([]sink.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var entries []sink.Entry
	for _, id := range ids {
		if r, there := s.results[id]; there {
			entries = append(entries, sink.Entry{ID: id, From: r.From, Objects: r.Objects, Of: r.Of, Digest: r.Digest})
		}
	}
	return entries, nil
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
		r, there := s.results[chunk.ID(id)]
		if !there || r.First != first {
			return sink.Summary{}, fmt.Errorf("%w: chunk %d is missing", sink.ErrIncomplete, id)
		}
		first += uint64(r.Objects)
	}
	if uint64(len(s.results)) != chunks || first != objects {
		return sink.Summary{}, fmt.Errorf("%w: %d chunks of %d objects", sink.ErrIncomplete, len(s.results), first)
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
	sum := sink.Summary{Chunks: uint64(len(s.results))}
	for _, r := range s.results {
		sum.Objects += uint64(r.Objects)
		sum.Outputs += uint64(bytes.Count(r.Outputs, []byte{'\n'}))
		sum.OutputBytes += uint64(len(r.Outputs))
		sum.Dead += uint64(r.DeadCount)
	}
	if s.finished {
		sum.Output = "memory"
	}
	return sum
}

// Identity implements saver.Sink: this sink has none.
func (s *Sink) Identity() (id, at string) { return "", "" }

// Refresh does nothing: a simulated sink has one process at a time.
func (s *Sink) Refresh(context.Context) error { return nil }

// OnSync implements saver.Sink: memory is never synced.
func (s *Sink) OnSync(func(file string, took time.Duration)) {}

// Close implements saver.Sink.
func (s *Sink) Close() error { return nil }

// Open returns the sink as one saver process has it: once dead is closed
// nothing reaches it any more, whatever that saver had still taken.
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

// Result returns what the sink holds of a chunk.
func (s *Sink) Result(id chunk.ID) (sink.Result, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, there := s.results[id]
	return r, there
}

// Content returns all outputs and all dead letters in input order.
func (s *Sink) Content() (outputs, dead string) {
	entries, _ := s.List(context.Background(), 0, 1<<30)
	for _, e := range entries {
		r, _ := s.Result(e.ID)
		outputs, dead = outputs+string(r.Outputs), dead+string(r.Dead)
	}
	return outputs, dead
}
