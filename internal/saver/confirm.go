package saver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	maxUnconfirmed = 1 << 18 // pieces kept while the fetcher does not answer; they take 10 MiB
	confirmTimeout = 2 * time.Second
	confirmPause   = 250 * time.Millisecond // before a confirmation without an answer is sent again
)

// confirms is the list of committed pieces that are not confirmed to the fetcher yet. When it is full, it drops the
// oldest: the fetcher asks about them before it hands them out again.
type confirms struct {
	mu     sync.Mutex
	pieces []wire.SavedPiece // guarded by mu
	closed bool              // guarded by mu
	wake   chan struct{}
}

func (c *confirms) add(pieces []wire.SavedPiece) {
	c.mu.Lock()
	c.pieces = append(c.pieces, pieces...)
	if over := len(c.pieces) - maxUnconfirmed; over > 0 {
		c.pieces = slices.Clone(c.pieces[over:])
	}
	c.mu.Unlock()
	c.signal()
}

func (c *confirms) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
}

func (c *confirms) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *confirms) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // the confirm loop is awake already
	}
}

// take removes as many pieces as fit in one message. last is true once no more will be added.
func (c *confirms) take() (pieces []wire.SavedPiece, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.pieces), wire.MaxSaved)
	pieces, c.pieces = c.pieces[:n:n], c.pieces[n:]
	return pieces, c.closed && len(c.pieces) == 0
}

// confirmLoop confirms durable pieces to the fetcher. While one message waits for its answer, the pieces for the next
// one gather. The loop ends when the commit loop has ended and everything is confirmed.
func (s *Saver) confirmLoop(ctx context.Context) error {
	for {
		pieces, last := s.confirms.take()
		if len(pieces) == 0 {
			if last {
				return nil
			}
			select {
			case <-s.confirms.wake:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		slices.SortStableFunc(pieces, func(a, b wire.SavedPiece) int { return a.Piece().Compare(b.Piece()) })
		// Of several results of a piece, the sink has kept the first.
		pieces = slices.CompactFunc(pieces, func(a, b wire.SavedPiece) bool { return a.Piece() == b.Piece() })
		for !s.confirm(ctx, pieces) {
			if s.confirms.isClosed() {
				return nil // the saver stops and the fetcher does not answer: the fetcher will ask instead
			}
			if backoff.Sleep(ctx, confirmPause) != nil {
				return nil //nolint:nilerr // the end of ctx is not a failure
			}
		}
	}
}

// confirm sends one message and reports whether it need not be sent again: it was answered, or there is no fetcher. In
// the latter case the next fetcher asks for everything.
func (s *Saver) confirm(ctx context.Context, pieces []wire.SavedPiece) bool {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	message := wire.Saved{Plan: s.planID(), Epoch: s.sink.Epoch(), Pieces: pieces, Total: s.summary(), Load: s.load(), Sink: s.sinkID()}
	failpoint.Hit("saver.confirm.sending")
	reply, err := s.bus.Request(ctx, wire.VerbSaved, message.Encode(s.sink.Key()))
	failpoint.Hit("saver.confirm.answered")
	if errors.Is(err, bus.ErrNobody) {
		s.trouble.fetcher.Note(nil)
		return true
	}
	if err == nil {
		_, err = wire.DecodeSavedAnswer(reply)
	}
	s.trouble.fetcher.Note(err)
	return err == nil
}
