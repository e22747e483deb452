package saver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
)

const (
	maxUnconfirmed = 1 << 20 // IDs kept while the fetcher does not answer; 8 MiB
	confirmTimeout = 2 * time.Second
	confirmPause   = 250 * time.Millisecond // before a message that got no answer is sent again
)

// confirms is the list of committed chunks that the fetcher has not been told
// of. When it is full the oldest are forgotten: the fetcher asks for them.
type confirms struct {
	mu     sync.Mutex
	ids    []chunk.ID // guarded by mu
	closed bool       // guarded by mu
	wake   chan struct{}
}

func newConfirms() confirms { return confirms{wake: make(chan struct{}, 1)} }

func (c *confirms) add(ids []chunk.ID) {
	c.mu.Lock()
	c.ids = append(c.ids, ids...)
	if over := len(c.ids) - maxUnconfirmed; over > 0 {
		c.ids = append([]chunk.ID(nil), c.ids[over:]...)
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
	default: // it is awake already
	}
}

// take removes as many IDs as fit in one message. Last is true once nothing more will come.
func (c *confirms) take() (ids []chunk.ID, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.ids), bus.MaxSaved)
	ids, c.ids = c.ids[:n:n], c.ids[n:]
	return ids, c.closed && len(c.ids) == 0
}

// confirmLoop tells the fetcher what is durable, in as few messages as its
// answers allow. It ends when the commit loop has and everything was told.
func (s *Saver) confirmLoop(ctx context.Context) error {
	for {
		ids, last := s.confirms.take()
		if len(ids) == 0 {
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
		slices.Sort(ids)
		ids = slices.Compact(ids) // once: it clears what is behind
		for !s.confirm(ctx, ids) {
			if s.confirms.isClosed() {
				return nil // the saver stops, and the fetcher does not answer: it will ask
			}
			select {
			case <-time.After(confirmPause):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// confirm sends one message, with ascending IDs, and returns whether it needs
// no repeat: it was answered, or there is no fetcher, and the next one will ask
// for everything.
func (s *Saver) confirm(ctx context.Context, ids []chunk.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	message := bus.Saved{Plan: s.planID(), Epoch: s.sink.Epoch(), Chunks: ids, Total: s.summary()}
	reply, err := s.bus.Request(ctx, bus.VerbSaved, message.Encode())
	if errors.Is(err, bus.ErrNobody) {
		return true
	}
	if err == nil {
		_, err = bus.DecodeSavedAnswer(reply)
	}
	if err != nil {
		s.log.Debug().Err(err).Int("chunks", len(ids)).Msg("confirmation got no answer")
	}
	return err == nil
}
