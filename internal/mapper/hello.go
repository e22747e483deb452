package mapper

import (
	"context"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
)

// helloInterval is the least time between two hellos that a mapper follows. Until it has passed, the latest hello waits
// and replaces earlier ones. On an open bus any client can publish hellos: a flood of them costs each idle worker one
// request a second, and delays a genuine hello by at most a second.
const helloInterval = time.Second

// hellos ends the pauses of workers that could not get a chunk.
//
// All of them ask at once, without a random delay. A thousand mappers of 8 workers send 8,000 requests of half a
// kilobyte. The fetcher's queue holds 65,536 requests, and the fetcher takes 8,000 in 0.1 s (BenchmarkHello), while
// each worker waits 6 s for its answer. A delay would not reduce that work, and every worker would lose time.
type hellos struct {
	latest chan wire.Hello // holds the hello to follow next; only the handler sends

	mu    sync.Mutex
	woken chan struct{} // guarded by mu; closed by the next wake
	known wire.Hello    // guarded by mu; the latest fetcher, by its answer or its hello
	of    wire.Hello    // guarded by mu; the fetcher that answered last
	at    time.Time     // guarded by mu; when it answered
}

func newHellos() *hellos {
	return &hellos{latest: make(chan wire.Hello, 1), woken: make(chan struct{})}
}

// next returns a channel that is closed by the next wake.
func (h *hellos) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.woken
}

// wake wakes all workers that wait for next.
func (h *hellos) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.woken)
	h.woken = make(chan struct{})
}

// answered records which fetcher has answered a request. A hello does not count: any client can send one with a high
// epoch, and then genuine ones would look old.
func (h *hellos) answered(plan chunk.PlanID, epoch uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from, now := wire.Hello{Plan: plan, Epoch: epoch}, time.Now()
	if !h.isOld(from, now) {
		h.known, h.of, h.at = from, from, now
	}
}

// isOld reports whether a fetcher newer than the one of hello has answered within epochHolds. The caller holds mu.
func (h *hellos) isOld(hello wire.Hello, now time.Time) bool {
	return hello.Plan == h.of.Plan && hello.Epoch < h.of.Epoch && now.Sub(h.at) < epochHolds
}

// admit reports whether to follow a hello.
func (h *hellos) admit(hello wire.Hello) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.isOld(hello, time.Now())
}

// follow records the fetcher of a hello, and reports whether it differs from the known fetcher. If it does, the known
// fetcher has been replaced and no longer answers its open requests. After a hello of the same fetcher the requests
// stay open, because it still has them.
func (h *hellos) follow(hello wire.Hello) (other bool) {
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

// helloLoop follows at most one hello in each helloInterval, until ctx ends. The workers that pause ask for work, and a
// heartbeat tells a new fetcher what this mapper holds.
func (m *Mapper) helloLoop(ctx context.Context) {
	for {
		select {
		case hello := <-m.hellos.latest:
			if m.hellos.follow(hello) {
				m.state.withdraw()
			}
			m.outages.beats.Note(m.beat(nil, false))
			m.hellos.wake()
		case <-ctx.Done():
			return
		}
		sleep(ctx, helloInterval, nil)
	}
}
