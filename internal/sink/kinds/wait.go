package kinds

import (
	"context"
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

// pause is between two tries to open a sink whose server takes no connection. A try has its own pauses, too.
const pause = time.Second

// OpenWaiting is Open for a process that waits for a database server that takes no connection for now: one that has too many
// clients, starts, shuts down or recovers. It tells note why each time, and with nil that the sink is open. Once a
// server has answered like that, it may also go away and come back.
func OpenWaiting(ctx context.Context, spec, job string, note func(error)) (Sink, error) {
	return openWaiting(ctx, func() (Sink, error) { return Open(spec, job) }, note) //nolint:contextcheck // opening a database has a limit of its own
}

func openWaiting(ctx context.Context, open func() (Sink, error), note func(error)) (Sink, error) {
	for waiting := false; ; {
		s, err := open()
		if err == nil {
			note(nil)
			return s, nil
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
