package mapper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

// leaveTimeout bounds how long a mapper that has drained waits until its goodbye is sent.
const leaveTimeout = 2 * time.Second

// errClosed ends a mapper whose connection is closed for good.
var errClosed = errors.New("connection closed for good")

// handleOrder carries out an order of the fetcher, and answers it.
func (m *Mapper) handleOrder(r *bus.Request) {
	order, err := wire.DecodeOrder(r.Message)
	if err != nil {
		m.strange.Warn().Err(err).Msg("could not read an order")
		return
	}
	failpoint.Hit("mapper.order.received")
	switch order.Kind {
	case wire.OrderDrop:
		m.state.drop(order.Plan, order.Piece)
	case wire.OrderDrain:
		select {
		case m.drain <- order.Reason:
		default: // an earlier order has done it
		}
	case wire.OrderPing: // the fetcher needs only the answer
	}
	if err := r.Reply(wire.OrderAnswer{Plan: order.Plan}.Encode()); err != nil {
		m.log.Debug().Err(err).Msg("answer to an order was lost")
	}
	failpoint.Hit("mapper.order.answered")
}

// drainAtEnd waits until the mapper has to stop: the ctx of Run ends, the fetcher orders it, a transform is broken, or
// the connection is closed for good. Then it ends asking. It ends all work when StopTimeout has passed, at once if the
// connection is closed.
func (m *Mapper) drainAtEnd(asking, work context.Context, stopAsking context.CancelCauseFunc, stopWork context.CancelFunc) {
	select {
	case <-asking.Done():
	case why := <-m.drain:
		m.log.Info().Str("reason", why).Msg("the fetcher asks this mapper to end")
		stopAsking(nil)
	case <-m.bus.Closed():
		stopAsking(app.WithCode(app.ExitUnreachable, fmt.Errorf("%w: %w", errClosed, m.bus.Err())))
		stopWork()
		return
	}
	failpoint.Hit("mapper.drain.begun")
	m.state.drain()
	m.outages.beats.Note(m.beat(nil, false))
	held := m.state.held()
	if len(held) > 0 {
		m.log.Info().Int("pieces", len(held)).Stringer("within", m.cfg.StopTimeout).Msg("draining")
	}
	timeout := time.NewTimer(m.cfg.StopTimeout)
	defer timeout.Stop()
	select {
	case <-timeout.C:
		if held := len(m.state.held()); held > 0 {
			m.log.Warn().Int("pieces", held).Msg("gave back pieces that could not be finished in time")
		}
		stopWork()
	case <-m.state.empty():
	case <-work.Done():
	}
}

// leave publishes the goodbye. Its list is empty, so the fetcher hands out the unfinished pieces again.
func (m *Mapper) leave(ctx context.Context, stopServing func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	err := m.beat(nil, true)
	failpoint.Hit("mapper.goodbye.sent")
	if err == nil {
		err = m.bus.Flush(ctx)
	}
	failpoint.Hit("mapper.goodbye.flushed")
	if err != nil {
		m.log.Debug().Err(err).Msg("goodbye may be lost")
	}
	if err := stopServing(ctx); err != nil {
		m.log.Debug().Err(err).Msg("stop serving orders")
	}
	m.log.Info().Msg("mapper stopped")
}
