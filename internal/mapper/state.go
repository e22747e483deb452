package mapper

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// state is the list that a mapper sends with each request and each heartbeat: the chunks it
// holds, and its requests for work that are still open.
//
// Invariant: from the moment a request is sent until its chunk is saved or given
// up, either the request is in asking or its chunk is in chunks. Both change
// under one lock, so a chunk is never missing from a list while it is held.
type state struct {
	mu      sync.Mutex
	seq     uint64                               // guarded by mu; of the last message
	asking  map[uint64]context.CancelFunc        // guarded by mu; ends the wait for the answer
	chunks  map[chunk.ID]context.CancelCauseFunc // guarded by mu; ends the work on it
	plan    chunk.PlanID                         // guarded by mu; of the latest chunk
	epoch   uint64                               // guarded by mu; of the latest chunk
	heard   time.Time                            // guarded by mu; when the latest chunk came
	idle    chan struct{}                        // guarded by mu; closed once nothing is held or asked for; nil if nobody waits for that
	drains  bool                                 // guarded by mu; the mapper asks for no more chunks
	shadows int                                  // guarded by mu; chunks in work that are saved already and only compared; they are in no list
}

// epochHolds is how long a mapper refuses chunks of an older epoch after the last chunk
// of the newest one. A fetcher that was replaced learns of it within two
// seconds. If one of an older epoch still hands out chunks after ten, the sink was deleted and
// begun anew, and epochs count from 1 again.
const epochHolds = 10 * time.Second

// Causes of the end of the work on a chunk.
var (
	errDropped   = errors.New("chunk is saved already or was given back")
	errOtherPlan = errors.New("job runs by another plan now")
)

func newState() *state {
	return &state{asking: map[uint64]context.CancelFunc{}, chunks: map[chunk.ID]context.CancelCauseFunc{}}
}

// ask makes a request for work and lists it as open. The function withdraw ends the wait for
// its answer.
func (s *state) ask(worker int, self report.Mapper, withdraw context.CancelFunc) wire.Next {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	s.asking[s.seq] = withdraw
	return wire.Next{Plan: s.plan, Mapper: self, Worker: worker, Holding: s.holding(), Wait: nextWait, Epoch: s.epoch}
}

// closed notes that a request got no chunk, and that a later answer to it will not be used.
func (s *state) closed(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asking, seq)
	s.signal()
}

// withdraw ends the wait for the answers to all open requests.
func (s *state) withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, withdraw := range s.asking {
		withdraw()
	}
}

// take turns an open request into a held chunk. It returns false if the chunk
// must not be used: its fetcher was replaced by a newer one, or
// the mapper holds the chunk already.
func (s *state) take(seq uint64, w wire.Work, cancel context.CancelCauseFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	delete(s.asking, seq)
	now := time.Now()
	if w.Plan == s.plan && w.Epoch < s.epoch && now.Sub(s.heard) < epochHolds {
		return false
	}
	s.heard = now
	if w.Plan != s.plan { // another job under the same name has no use for chunks of the old one
		for _, cancelOld := range s.chunks {
			cancelOld(errOtherPlan)
		}
		clear(s.chunks)
		s.plan = w.Plan
	}
	s.epoch = w.Epoch
	if w.Shadow {
		s.shadows++
		return true
	}
	if _, held := s.chunks[w.Chunk.ID]; held {
		return false
	}
	s.chunks[w.Chunk.ID] = cancel
	return true
}

// release notes that a chunk is no longer held.
func (s *state) release(w wire.Work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.Shadow {
		s.shadows--
	} else {
		delete(s.chunks, w.Chunk.ID)
	}
	s.signal()
}

// drop ends the work on a chunk, if the mapper holds it.
func (s *state) drop(plan chunk.PlanID, id chunk.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel, held := s.chunks[id]; held && plan == s.plan {
		cancel(errDropped)
	}
}

// beat makes a heartbeat.
func (s *state) beat(self report.Mapper, doing *wire.Doing, goodbye bool) wire.Beat {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	return wire.Beat{
		Plan: s.plan, Mapper: self, Holding: s.holding(), Doing: doing, Draining: s.drains, Goodbye: goodbye, Epoch: s.epoch,
	}
}

// drain notes that the mapper asks for no more chunks. Every heartbeat says so from now on.
func (s *state) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drains = true
}

// held returns the chunks that the mapper holds, ascending.
func (s *state) held() []chunk.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding().Held
}

// empty returns a channel that is closed once nothing is held or asked for.
func (s *state) empty() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.signal()
	return idle
}

// signal closes idle if nothing is held or asked for. The caller holds mu.
func (s *state) signal() {
	if s.idle != nil && len(s.chunks) == 0 && len(s.asking) == 0 && s.shadows == 0 {
		close(s.idle)
		s.idle = nil
	}
}

// holding returns the whole list, ascending. The caller holds mu.
func (s *state) holding() wire.Holding {
	h := wire.Holding{Seq: s.seq, Held: make([]chunk.ID, 0, len(s.chunks)), Asking: make([]uint64, 0, len(s.asking))}
	for id := range s.chunks {
		h.Held = append(h.Held, id)
	}
	for seq := range s.asking {
		h.Asking = append(h.Asking, seq)
	}
	slices.Sort(h.Held)
	slices.Sort(h.Asking)
	return h
}
