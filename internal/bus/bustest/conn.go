package bustest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
)

// A Conn is one connection to a Memory. It is a bus.Transport.
type Conn struct {
	net  *Memory
	name string

	mu      sync.Mutex
	live    bool                    // guarded by mu
	online  chan struct{}           // guarded by mu; closed while live
	gone    chan struct{}           // guarded by mu; closed while not live
	err     error                   // guarded by mu; why it is closed
	waiting map[uint64]chan<- reply // guarded by mu
	next    uint64                  // guarded by mu
	subs    []*subscription         // guarded by mu
	closed  chan struct{}

	in, out, inBytes, outBytes, reconnects atomic.Uint64
}

type reply struct {
	message wire.Message
	err     error
}

var _ bus.Transport = (*Conn)(nil)

func newConn(n *Memory, name string) *Conn {
	c := &Conn{
		net: n, name: name, live: true, online: make(chan struct{}), gone: make(chan struct{}), closed: make(chan struct{}),
		waiting: map[uint64]chan<- reply{},
	}
	close(c.online)
	return c
}

// Disconnect breaks the connection. Requests that wait for an answer get bus.ErrOffline, and messages to this
// connection are lost. Subscriptions stay.
func (c *Conn) Disconnect() { c.leave(bus.ErrOffline, false) }

// Reconnect brings the connection back.
func (c *Conn) Reconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live || c.err != nil {
		return
	}
	c.live = true
	close(c.online)
	c.gone = make(chan struct{})
	c.reconnects.Add(1)
}

// Crash ends the connection as if its process had died: messages that it has received are no longer handled, and
// messages that a pause has kept are lost. It does not wait for a running handler.
func (c *Conn) Crash() {
	c.leave(fmt.Errorf("%w: crashed", bus.ErrClosed), true)
	c.net.unpause(c.name)
}

// Close implements bus.Transport.
func (c *Conn) Close() {
	c.leave(bus.ErrClosed, true)
	c.mu.Lock()
	subs := slices.Clone(c.subs)
	c.mu.Unlock()
	for _, s := range subs {
		<-s.done
	}
}

// leave ends the connection, for good or until Reconnect.
func (c *Conn) leave(err error, forGood bool) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if c.live {
		c.live = false
		c.online = make(chan struct{})
		close(c.gone)
	}
	waiting := c.waiting
	c.waiting = map[uint64]chan<- reply{}
	if forGood {
		c.err = err
		close(c.closed)
	}
	subs := slices.Clone(c.subs)
	c.mu.Unlock()
	for _, ticket := range slices.Sorted(maps.Keys(waiting)) { // the same order each time
		waiting[ticket] <- reply{err: err}
	}
	if forGood {
		for _, s := range subs {
			s.unsubscribe()
			s.kill()
		}
	}
}

// usable returns nil while messages can be sent.
func (c *Conn) usable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err
	case !c.live:
		return bus.ErrOffline
	}
	return nil
}

// check returns a copy of m, as a network would make it, or an error if m cannot be sent now.
func (c *Conn) check(m wire.Message) (wire.Message, error) {
	if err := c.usable(); err != nil {
		return wire.Message{}, err
	}
	if m.Size() > c.net.maxPayload {
		return wire.Message{}, fmt.Errorf("%w: %d bytes", bus.ErrTooLarge, m.Size())
	}
	c.out.Add(1)
	c.outBytes.Add(uint64(len(m.Body)))
	m.Body = bytes.Clone(m.Body)
	return m, nil
}

// Request implements bus.Transport.
func (c *Conn) Request(ctx context.Context, subject string, m wire.Message) (wire.Message, error) {
	if err := ctx.Err(); err != nil {
		return wire.Message{}, err
	}
	m, err := c.check(m)
	if err != nil {
		return wire.Message{}, err
	}
	receivers := c.net.receivers(subject)
	if len(receivers) == 0 {
		return wire.Message{}, bus.ErrNobody
	}
	answers := make(chan reply, 1)
	c.mu.Lock()
	if !c.live {
		c.mu.Unlock()
		return wire.Message{}, bus.ErrOffline
	}
	c.next++
	ticket := c.next
	c.waiting[ticket] = answers
	c.mu.Unlock()
	defer c.removeWaiter(ticket)
	question := m
	for _, s := range receivers {
		s.send(c, subject, m, func(m wire.Message) error { return s.conn.reply(c, ticket, subject, question, m) })
	}
	select {
	case a := <-answers:
		return a.message, a.err
	case <-ctx.Done():
		return wire.Message{}, ctx.Err()
	}
}

// reply carries an answer back to the requester.
func (c *Conn) reply(to *Conn, ticket uint64, subject string, question, m wire.Message) error {
	m, err := c.check(m)
	if err != nil {
		return err
	}
	p := Packet{From: c.name, To: to.name, Subject: subject, Reply: true, Message: m, Question: question}
	c.net.carry(p, func(m wire.Message) {
		if answers := to.removeWaiter(ticket); answers != nil {
			to.count(m)
			answers <- reply{message: m}
		}
	})
	return nil
}

// removeWaiter removes and returns the channel of a request, or nil if the request has ended.
func (c *Conn) removeWaiter(ticket uint64) chan<- reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	answers := c.waiting[ticket]
	delete(c.waiting, ticket)
	return answers
}

// Publish implements bus.Transport.
func (c *Conn) Publish(subject string, m wire.Message) error {
	m, err := c.check(m)
	if err != nil {
		return err
	}
	for _, s := range c.net.receivers(subject) {
		s.send(c, subject, m, nil)
	}
	return nil
}

// Flush implements bus.Transport.
func (c *Conn) Flush(ctx context.Context) error {
	if err := c.usable(); err != nil {
		return err
	}
	return ctx.Err()
}

// MaxPayload implements bus.Transport.
func (c *Conn) MaxPayload() int { return c.net.maxPayload }

// Online implements bus.Transport.
func (c *Conn) Online() bool { return c.usable() == nil }

// WaitOnline implements bus.Transport.
func (c *Conn) WaitOnline(ctx context.Context) error {
	c.mu.Lock()
	online := c.online
	c.mu.Unlock()
	select {
	case <-online:
		return nil
	case <-c.closed:
		return c.Err()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", bus.ErrOffline, ctx.Err())
	}
}

// Lost implements bus.Transport.
func (c *Conn) Lost() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

// Closed implements bus.Transport.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

// Err implements bus.Transport.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Stats implements bus.Transport.
func (c *Conn) Stats() bus.Stats {
	return bus.Stats{
		In: c.in.Load(), Out: c.out.Load(), InBytes: c.inBytes.Load(), OutBytes: c.outBytes.Load(),
		Reconnects: c.reconnects.Load(),
	}
}

func (c *Conn) count(m wire.Message) {
	c.in.Add(1)
	c.inBytes.Add(uint64(len(m.Body)))
}
