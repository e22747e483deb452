package kinds

import (
	"context"
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

// pause is the time between two attempts to open a sink whose server accepts no connections.
const pause = time.Second

// openWaiting repeats open as the comment of Open says. It ends with ctx.
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
		if err := backoff.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}
