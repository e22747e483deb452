package metrics

import "github.com/chunkline/chunkline/internal/bus"

// Bus holds the metrics of a role's connection to NATS.
type Bus struct {
	up, roundTrip, reconnects, slow, errors, messages, bytes *Const
}

// NewBus declares the metrics of the connection in s.
func NewBus(s *Set) *Bus {
	direction := OneOf("direction", "in", "out")
	return &Bus{
		up:         s.Gauge("chunkline_nats_up", "1 while connected to NATS, else 0."),
		roundTrip:  s.Gauge("chunkline_nats_round_trip_seconds", "Last measured time to the NATS server and back, taken every 5 s."),
		reconnects: s.Count("chunkline_nats_reconnects_total", "Reconnects to NATS."),
		slow:       s.Count("chunkline_nats_slow_consumer_events_total", "Times that a subscription of this process was too slow and lost messages."),
		errors:     s.Count("chunkline_nats_async_errors_total", "Errors on the connection that no call returned, including slow consumer events."),
		messages:   s.Count("chunkline_nats_messages_total", "Messages, by direction as seen from this process.", direction),
		bytes:      s.Count("chunkline_nats_bytes_total", "Bytes of message bodies, by direction as seen from this process.", direction),
	}
}

// Emit emits the values of b.
func (m *Bus) Emit(emit Emit, b *bus.Bus) {
	up := 0.0
	if b.Online() {
		up = 1
	}
	stats := b.Stats()
	emit(m.up, up)
	if stats.RoundTrip > 0 {
		emit(m.roundTrip, stats.RoundTrip.Seconds())
	}
	emit(m.reconnects, float64(stats.Reconnects))
	emit(m.slow, float64(stats.SlowConsumers))
	emit(m.errors, float64(stats.AsyncErrors))
	emit(m.messages, float64(stats.In), "in")
	emit(m.messages, float64(stats.Out), "out")
	emit(m.bytes, float64(stats.InBytes), "in")
	emit(m.bytes, float64(stats.OutBytes), "out")
}
