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

// A piece is a granted piece that the mapper holds: it is in the list until it is saved or given up.
type piece struct {
	wire.Granted
	plan   chunk.PlanID
	epoch  uint64
	shadow bool // it is saved already, and its result is only compared

	ctx      context.Context         // ends with the work on the piece
	drop     context.CancelCauseFunc // ends ctx
	released bool                    // guarded by state.mu
}

// state is the list that a mapper sends with each request and each heartbeat: the pieces it holds, and its requests for
// work that are still open.
//
// Invariant: from the moment a request is sent until its pieces are saved or given up, either the request is in asking
// or its pieces are in pieces. Both change under one lock, so a piece is never missing from a list while it is held.
type state struct {
	mu       sync.Mutex
	seq      uint64                        // guarded by mu; of the last message
	asking   map[uint64]context.CancelFunc // guarded by mu; ends the wait for the answer
	pieces   map[chunk.Piece]*piece        // guarded by mu
	plan     chunk.PlanID                  // guarded by mu; of the latest grant
	epoch    uint64                        // guarded by mu; of the latest grant
	heard    time.Time                     // guarded by mu; when the latest grant came
	idle     chan struct{}                 // guarded by mu; closed once nothing is held or asked for; nil if no goroutine waits for that
	draining bool                          // guarded by mu; the mapper asks for no more work
	shadows  int                           // guarded by mu; pieces in work that are saved already and only compared; they are in no list
}

// epochHolds is how long a mapper refuses grants of an older epoch after the last grant of the newest one. A fetcher
// that was replaced learns of it within two seconds. If one of an older epoch still grants work after ten, the sink was
// deleted and created again, and epochs count from 1 again.
const epochHolds = 10 * time.Second

// Causes of the end of the work on a piece.
var (
	errDropped   = errors.New("piece is saved already or was given back")
	errOtherPlan = errors.New("job has another plan now")
)

func newState() *state {
	return &state{asking: map[uint64]context.CancelFunc{}, pieces: map[chunk.Piece]*piece{}}
}

// ask makes a request for work and lists it as open. The function withdraw ends the wait for its answer.
func (s *state) ask(worker int, self report.Mapper, wait time.Duration, withdraw context.CancelFunc) wire.Next {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	s.asking[s.seq] = withdraw
	return wire.Next{Plan: s.plan, Mapper: self, Worker: worker, Holding: s.holding(), Wait: wait, Epoch: s.epoch}
}

// closed records that a request got no work, so that a later answer to it is not used.
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

// admit turns an open request into held pieces, which end with work at the latest. It leaves out pieces that must not
// be used: their fetcher was replaced by a newer one, or the mapper holds them already.
func (s *state) admit(work context.Context, seq uint64, w wire.Work) []*piece {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	delete(s.asking, seq)
	now := time.Now()
	if w.Plan == s.plan && w.Epoch < s.epoch && now.Sub(s.heard) < epochHolds {
		return nil
	}
	s.heard = now
	if w.Plan != s.plan { // another job under the same name has no use for pieces of the old one
		for _, old := range s.pieces {
			old.drop(errOtherPlan)
		}
		clear(s.pieces)
		s.plan = w.Plan
	}
	s.epoch = w.Epoch
	admitted := make([]*piece, 0, len(w.Grant))
	for _, granted := range w.Grant {
		if _, held := s.pieces[granted.Piece()]; held && !w.Shadow {
			continue
		}
		p := &piece{Granted: granted, plan: w.Plan, epoch: w.Epoch, shadow: w.Shadow}
		p.ctx, p.drop = context.WithCancelCause(work) //nolint:fatcontext // each piece has its own context
		if w.Shadow {
			s.shadows++
		} else {
			s.pieces[granted.Piece()] = p
		}
		admitted = append(admitted, p)
	}
	return admitted
}

// release ends the work on a piece, which is no longer held. Releasing it again does nothing.
func (s *state) release(p *piece) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case p.released:
		return
	case p.shadow:
		s.shadows--
	case s.pieces[p.Piece()] == p: // else it is of an earlier plan
		delete(s.pieces, p.Piece())
	}
	p.released = true
	p.drop(nil)
	s.signal()
}

// drop ends the work on a piece and removes it from the list, if the mapper holds it.
func (s *state) drop(plan chunk.PlanID, id chunk.Piece) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, held := s.pieces[id]; held && plan == s.plan {
		p.drop(errDropped)
		delete(s.pieces, id)
		s.signal()
	}
}

// beat makes a heartbeat.
func (s *state) beat(self report.Mapper, doing *wire.Doing, goodbye bool) wire.Beat {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	return wire.Beat{
		Plan: s.plan, Mapper: self, Holding: s.holding(), Doing: doing, Draining: s.draining, Goodbye: goodbye, Epoch: s.epoch,
	}
}

// drain records that the mapper asks for no more work. Every heartbeat says so from now on.
func (s *state) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
}

// held returns the pieces that the mapper holds, ascending.
func (s *state) held() []chunk.Piece {
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
	if s.idle != nil && len(s.pieces) == 0 && len(s.asking) == 0 && s.shadows == 0 {
		close(s.idle)
		s.idle = nil
	}
}

// holding returns the whole list, ascending. The caller holds mu.
func (s *state) holding() wire.Holding {
	h := wire.Holding{Seq: s.seq, Held: make([]chunk.Piece, 0, len(s.pieces)), Asking: make([]uint64, 0, len(s.asking))}
	for id := range s.pieces {
		h.Held = append(h.Held, id)
	}
	for seq := range s.asking {
		h.Asking = append(h.Asking, seq)
	}
	slices.SortFunc(h.Held, chunk.Piece.Compare)
	slices.Sort(h.Asking)
	return h
}
