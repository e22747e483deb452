package bus

import (
	"context"
	"time"
)

// roundTripInterval is between measurements: a ping each, as often as nats.go
// sends its own.
const roundTripInterval = 5 * time.Second

// measure takes the round trip to the server now and then, until the
// connection is closed for good. Nobody waits for it.
func (t *natsTransport) measure() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tick := time.NewTicker(roundTripInterval)
	defer tick.Stop()
	for t.link.wait(ctx) == nil {
		t.measureOnce(ctx)
		select {
		case <-tick.C:
		case <-t.link.lost(): // measure again as soon as it is back
		case <-t.link.closed:
			return
		}
	}
}

func (t *natsTransport) measureOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flusherTimeout)
	defer cancel()
	begin := time.Now()
	if t.Flush(ctx) == nil {
		t.roundTrip.Store(int64(max(time.Since(begin), 1)))
	}
}
