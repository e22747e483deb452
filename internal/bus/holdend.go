package bus

import "time"

// expire drops a transfer that nobody has touched. One that was touched while
// the timer fired has set it again.
func (h *holder) expire(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.incoming[id]; t != nil && time.Since(t.touched) < partIdle {
		return
	}
	if t := h.outgoing[id]; t != nil && time.Since(t.touched) < partIdle {
		return
	}
	h.drop(id)
}

// drop forgets a transfer. The caller holds mu.
func (h *holder) drop(id string) {
	if t := h.incoming[id]; t != nil {
		t.idle.Stop()
		h.inside.give(t.held)
		delete(h.incoming, id)
	}
	if t := h.outgoing[id]; t != nil {
		t.idle.Stop()
		h.outside.give(t.layout.total + bookkeeping)
		delete(h.outgoing, id)
		h.bus.kept.Add(-int64(t.layout.total))
		if h.bus.freed != nil {
			h.bus.freed()
		}
	}
}

// close forgets everything. Requests that were handed over can be answered.
func (h *holder) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for id := range h.incoming {
		h.drop(id)
	}
	for id := range h.outgoing {
		h.drop(id)
	}
}
