package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// A writer is the one goroutine that writes to the connection. nats.go writes
// under the connection's lock, and when the server takes no bytes (frozen,
// network gone) that lasts as long as the flusher timeout, for each caller in
// turn. Through the writer a caller waits no longer than its context says, and
// what is sent keeps its order.
type writer struct {
	publish func(*nats.Msg) error
	queue   chan *outMessage
	quit    chan struct{}
	done    chan struct{}
}

type outMessage struct {
	msg    *nats.Msg
	result chan error  // takes one without waiting
	given  atomic.Bool // nobody waits for the result any more
}

func newWriter(publish func(*nats.Msg) error) *writer {
	w := &writer{publish: publish, queue: make(chan *outMessage), quit: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *writer) run() {
	defer close(w.done)
	for {
		select {
		case out := <-w.queue:
			if !out.given.Load() {
				out.result <- w.publish(out.msg)
			}
		case <-w.quit:
			return
		}
	}
}

// send writes msg, and returns once it is on its way or ctx has ended; then it
// is unknown whether it was written.
func (w *writer) send(ctx context.Context, msg *nats.Msg) error {
	out := &outMessage{msg: msg, result: make(chan error, 1)}
	select {
	case w.queue <- out:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return ErrClosed
	}
	select {
	case err := <-out.result:
		return sendError(err)
	case <-ctx.Done():
		out.given.Store(true)
		return ctx.Err()
	}
}

// stop ends the writer and waits for it, at most for one flusher timeout.
func (w *writer) stop() {
	close(w.quit)
	<-w.done
}

// sendError says in our words why nats.go did not send.
func sendError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	case errors.Is(err, nats.ErrReconnectBufExceeded): // we allow it nothing
		return ErrOffline
	default:
		return fmt.Errorf("%w: %w", ErrOffline, err)
	}
}
