package mapper

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// state is what a mapper says of itself: the chunks it holds and the questions
// it still waits for an answer to.
//
// Invariant: from the moment a next is sent until its chunk is saved or given
// up, either the next is in asking or its chunk is in chunks; the two change
// under one lock. So a chunk is never missing from a list while it is held.
type state struct {
	mu     sync.Mutex
	seq    uint64                               // guarded by mu; the last message's number
	asking map[uint64]context.CancelFunc        // guarded by mu; ends the wait for the answer
	chunks map[chunk.ID]context.CancelCauseFunc // guarded by mu; ends the work on it
	plan   chunk.PlanID                         // guarded by mu; of the last chunk
	epoch  uint64                               // guarded by mu; the highest seen
	heard  time.Time                            // guarded by mu; when work of epoch last came
	idle   chan struct{}                        // guarded by mu; closed when nothing is held, if somebody waits
	drains bool                                 // guarded by mu; no more is asked
	// shadows are chunks in work that are saved already: nobody waits for them, so they are on no list. Guarded by mu.
	shadows int
}

// epochHolds is how long work of a lower epoch is refused after the last work
// of the highest one. A fetcher that was replaced learns of it within two
// seconds; one that still hands out after ten belongs to a sink that was begun
// anew.
const epochHolds = 10 * time.Second

func newState() *state {
	return &state{asking: map[uint64]context.CancelFunc{}, chunks: map[chunk.ID]context.CancelCauseFunc{}}
}

// ask numbers a next and lists it as open. GiveUp ends the wait for its answer.
func (s *state) ask(worker int, self report.Mapper, giveUp context.CancelFunc) wire.Next {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	s.asking[s.seq] = giveUp
	return wire.Next{Plan: s.plan, Mapper: self, Worker: worker, Holding: s.holding(), Wait: nextWait, Epoch: s.epoch}
}

// closed notes that a next has no chunk for an answer, now or later.
func (s *state) closed(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asking, seq)
	s.signal()
}

// giveUp ends the wait for the answers to all that is asked.
func (s *state) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, giveUp := range s.asking {
		giveUp()
	}
}

// take turns an open next into a held chunk. It returns false when the answer
// must not be used: it comes from a fetcher that a newer one has replaced, or
// the chunk is held already.
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
	if w.Plan != s.plan { // another job under the same name: what is held is worth nothing there
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

// drop ends the work on a chunk that is not wanted any more.
func (s *state) drop(plan chunk.PlanID, id chunk.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel, held := s.chunks[id]; held && plan == s.plan {
		cancel(errDropped)
	}
}

// beat numbers a beat.
func (s *state) beat(self report.Mapper, doing *wire.Doing, goodbye bool) wire.Beat {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	return wire.Beat{
		Plan: s.plan, Mapper: self, Holding: s.holding(), Doing: doing, Draining: s.drains, Goodbye: goodbye, Epoch: s.epoch,
	}
}

// drain notes that no more is asked. Every beat says so from now on.
func (s *state) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drains = true
}

// held lists the chunks that are held.
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

// signal closes idle when it is time to. The caller holds mu.
func (s *state) signal() {
	if s.idle != nil && len(s.chunks) == 0 && len(s.asking) == 0 && s.shadows == 0 {
		close(s.idle)
		s.idle = nil
	}
}

// holding lists everything, in order. The caller holds mu.
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
