package fetcher

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	// A mapper sends a heartbeat every second. After suspectAfter of silence the fetcher pings the mapper. After
	// goneAfter its pieces are requeued.
	suspectAfter = 2 * time.Second
	goneAfter    = 3 * time.Second

	maxOrdersAtOnce = 32 // orders that wait for an answer
)

// expireMappers ends the leases of mappers that have been silent for too long. It spares all mappers while the fetcher
// could not have heard them: while the connection is down, or after this process itself was paused.
func (c *coordinator) expireMappers(now time.Time) {
	online := c.f.bus.Online()
	if now.Sub(c.ticked) > awayGap || online && !c.online {
		c.ledger.Forgive(now)
		c.epochDoubts++  // another fetcher may have taken over in the meantime
		c.askAfter = now // ask the saver at once
	}
	c.online = online
	if !online {
		return
	}
	suspects, vanished := c.ledger.Expire(now)
	for _, id := range suspects {
		c.order(order{mapper: id, kind: wire.OrderPing})
	}
	for _, id := range vanished {
		c.forget(id, "fell silent")
	}
}

// vanish ends the leases of a mapper that is no longer connected.
func (c *coordinator) vanish(id string) {
	if m := c.mappers[id]; m != nil {
		m.held = c.ledger.Holds(id)
	}
	c.ledger.Vanish(id)
	c.forget(id, "has no connection any more")
}

// forget removes a mapper whose leases have ended.
func (c *coordinator) forget(id, why string) {
	if m, known := c.mappers[id]; known {
		now := time.Now()
		c.mapperLog.left(now, m, why)
		c.noteVanished(now, m)
		c.removeMapper(now, m, why)
	}
	c.waiting.drop(id, nil)
	failpoint.Hit("fetcher.mapper.lost")
}

// order is a direct message to one mapper.
type order struct {
	mapper string
	kind   wire.OrderKind
	piece  chunk.Piece // of a drop
}

// order sends a direct message to a mapper. It drops the message if too many are queued, because the mapper's next list
// shows whether it is still needed.
func (c *coordinator) order(o order) {
	select {
	case c.f.orders <- o:
	default:
	}
}

// orderLoop delivers orders until the coordinator closes the channel.
func (f *Fetcher) orderLoop(ctx context.Context) {
	group := new(errgroup.Group)
	group.SetLimit(maxOrdersAtOnce)
	for o := range f.orders {
		group.Go(func() error { f.deliver(ctx, o); return nil })
	}
	_ = group.Wait() // its members return no errors
}

// deliver sends an order. An answer proves that the mapper is alive; no responders means that it is gone.
func (f *Fetcher) deliver(ctx context.Context, o order) {
	asking, cancel := context.WithTimeout(ctx, goneAfter-suspectAfter)
	defer cancel()
	message := wire.Order{Plan: f.planID, Epoch: f.grant.epoch, Kind: o.kind, Piece: o.piece}.Encode()
	_, err := f.bus.Request(asking, wire.VerbMapper(o.mapper), message)
	switch {
	case errors.Is(err, bus.ErrNobody):
		f.post(ctx, func(c *coordinator) { c.vanish(o.mapper) })
	case err == nil:
		f.post(ctx, func(c *coordinator) { c.ledger.Alive(time.Now(), o.mapper) })
	}
}

// endMappers orders all mappers to drain, see EndMappers.
func (f *Fetcher) endMappers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, goneAfter)
	defer cancel()
	message := wire.Order{Plan: f.planID, Epoch: f.grant.epoch, Kind: wire.OrderDrain, Reason: "the job is done"}.Encode()
	var orders sync.WaitGroup
	for _, m := range f.Status().Mappers {
		orders.Go(func() {
			if _, err := f.bus.Request(ctx, wire.VerbMapper(m.ID), message); err != nil {
				f.log.Debug().Err(err).Str("mapper", m.Name).Str("mapper_id", m.ID).Msg("mapper may not know that the job is done")
			}
		})
	}
	orders.Wait()
}
