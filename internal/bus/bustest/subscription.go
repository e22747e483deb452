package bustest

import (
	"context"
	"slices"
	"sync"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
)

// A subscription handles the messages of one topic, one at a time, in its own goroutine.
type subscription struct {
	conn  *Conn
	topic bus.Topic

	mu    sync.Mutex
	queue []bus.Delivery // guarded by mu
	last  bool           // guarded by mu; no more messages are accepted
	dead  bool           // guarded by mu; messages in queue are not handled either
	wake  chan struct{}
	done  chan struct{}
}

// Listen implements bus.Transport.
func (c *Conn) Listen(l bus.Listener) (stop func(context.Context), err error) {
	var mine []*subscription
	for _, topic := range l.Topics {
		mine = append(mine, &subscription{conn: c, topic: topic, wake: make(chan struct{}, 1), done: make(chan struct{})})
	}
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	c.subs = append(c.subs, mine...)
	c.mu.Unlock()
	c.net.mu.Lock()
	for _, s := range mine {
		c.net.subs[s.topic.Subject] = append(c.net.subs[s.topic.Subject], s)
	}
	c.net.mu.Unlock()
	for _, s := range mine {
		go s.run()
	}
	return func(ctx context.Context) {
		for _, s := range mine {
			s.unsubscribe()
		}
		for _, s := range mine {
			select {
			case <-s.done:
			case <-ctx.Done():
			}
		}
	}, nil
}

// send puts a message on its way to the subscription.
func (s *subscription) send(from *Conn, subject string, m wire.Message, reply func(wire.Message) error) {
	s.conn.net.carry(Packet{From: from.name, To: s.conn.name, Subject: subject, Message: m}, func(m wire.Message) {
		if !s.conn.Online() {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.last {
			return
		}
		s.conn.count(m)
		s.queue = append(s.queue, bus.Delivery{Subject: subject, Message: m, Reply: reply})
		s.signal()
	})
}

// signal wakes the goroutine. The caller holds mu.
func (s *subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it is going to wake anyway
	}
}

func (s *subscription) run() {
	defer close(s.done)
	for {
		s.mu.Lock()
		var next *bus.Delivery
		if len(s.queue) > 0 && !s.dead {
			next, s.queue = &s.queue[0], s.queue[1:]
		}
		end := s.last
		s.mu.Unlock()
		switch {
		case next != nil:
			s.topic.Handle(*next)
		case end:
			return
		default:
			<-s.wake
		}
	}
}

// unsubscribe accepts no more messages; those that have arrived are handled.
func (s *subscription) unsubscribe() {
	n := s.conn.net
	n.mu.Lock()
	n.subs[s.topic.Subject] = slices.DeleteFunc(slices.Clone(n.subs[s.topic.Subject]), func(o *subscription) bool { return o == s })
	if len(n.subs[s.topic.Subject]) == 0 {
		delete(n.subs, s.topic.Subject)
	}
	n.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = true
	s.signal()
}

// kill stops handling messages.
func (s *subscription) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.dead = true, true
	s.signal()
}
