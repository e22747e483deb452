package kinds

import (
	"context"
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

// pause is the time between two attempts to open a sink whose server accepts no connections.
const pause = time.Second

// OpenWaiting is like Open, but waits while a database server accepts no connections because it has too many clients, starts,
// shuts down or recovers. It calls note with the error of each failed attempt, and with nil once the sink is open. After the
// server has given such an answer once, OpenWaiting also waits while the server cannot be reached. It ends with ctx.
func OpenWaiting(ctx context.Context, spec, job string, note func(error)) (Sink, error) {
	return openWaiting(ctx, func() (Sink, error) { return Open(ctx, spec, job) }, note)
}

func openWaiting(ctx context.Context, open func() (Sink, error), note func(error)) (Sink, error) {
	for waiting := false; ; {
		s, err := open()
		switch {
		case err == nil:
			note(nil)
			return s, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		waiting = waiting || sqlsink.TurnedAway(err)
		if !waiting || !errors.Is(err, sink.ErrUnreachable) {
			return nil, err
		}
		note(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
