package mapper

import (
	"context"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
)

// helloInterval is the least time between two hellos that a mapper follows, because
// on an open bus anybody can say hello. A further one waits until then, and only the
// latest waits: so a flood costs one request of each idle worker a second, and a true
// hello in the flood comes at most a second late.
const helloInterval = time.Second

// hellos wakes the workers that have nobody to ask: each waits for its pause, or for
// next.
//
// All of them ask at once, without a random delay. A thousand mappers of 8 workers send
// 8,000 requests of half a kilobyte. The fetcher's queue holds 65,536 and it takes 8,000
// in 0.1 s (BenchmarkHello), while each worker waits 6 s for its answer. A delay would
// not make that less work, and would be lost time for all others.
type hellos struct {
	latest chan wire.Hello // holds one that is yet to be followed; only the handler sends

	mu    sync.Mutex
	rung  chan struct{} // guarded by mu; closed by the next ring
	known wire.Hello    // guarded by mu; the fetcher heard of last, by an answer or a hello
	of    wire.Hello    // guarded by mu; the fetcher that has answered last
	at    time.Time     // guarded by mu; when it did
}

func newHellos() *hellos {
	return &hellos{latest: make(chan wire.Hello, 1), rung: make(chan struct{})}
}

// next is closed when there may be somebody to ask.
func (h *hellos) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rung
}

// ring wakes all who wait for next.
func (h *hellos) ring() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.rung)
	h.rung = make(chan struct{})
}

// answered notes which fetcher has answered. A hello says nothing of that: anybody
// could send one with a high epoch, and true ones would be taken for old.
func (h *hellos) answered(plan chunk.PlanID, epoch uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from, now := wire.Hello{Plan: plan, Epoch: epoch}, time.Now()
	if !h.isOld(from, now) {
		h.known, h.of, h.at = from, from, now
	}
}

// isOld says whether a newer fetcher than this one has answered lately, see
// epochHolds. The caller holds mu.
func (h *hellos) isOld(hello wire.Hello, now time.Time) bool {
	return hello.Plan == h.of.Plan && hello.Epoch < h.of.Epoch && now.Sub(h.at) < epochHolds
}

// admit says whether a hello is to be followed.
func (h *hellos) admit(hello wire.Hello) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.isOld(hello, time.Now())
}

// meet says whether a hello is of another fetcher than the one that is known. No answer
// comes then to what that one was asked. After a hello of the same fetcher its requests
// stay open, because it still has them.
func (h *hellos) meet(hello wire.Hello) (other bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	other = h.known != (wire.Hello{}) && h.known != hello
	h.known = hello
	return other
}

// handleHello keeps the latest hello for helloLoop.
func (m *Mapper) handleHello(r *bus.Request) {
	hello, err := wire.DecodeHello(r.Message)
	if err != nil {
		m.strange.Warn().Err(err).Msg("could not read a hello")
		return
	}
	if !m.hellos.admit(hello) {
		return
	}
	select {
	case <-m.hellos.latest:
	default:
	}
	m.hellos.latest <- hello
}

// helloLoop follows hellos, one each helloInterval, until ctx ends: the workers that
// wait ask, and a beat tells a new fetcher what this mapper holds.
func (m *Mapper) helloLoop(ctx context.Context) {
	for {
		select {
		case hello := <-m.hellos.latest:
			if m.hellos.meet(hello) {
				m.state.giveUp()
			}
			m.peers.beats.Note(m.beat(nil, false))
			m.hellos.ring()
		case <-ctx.Done():
			return
		}
		sleep(ctx, helloInterval, nil)
	}
}
