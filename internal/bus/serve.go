package bus

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/wire"
)

// A Service is what a role answers to.
type Service struct {
	// Name, of letters, digits, '_' and '-': nats micro finds it as
	// "chunkline-<Name>".
	Name        string
	Version     string // any text; discovery wants SemVer, so another is shown as metadata
	Description string
	Endpoints   []Endpoint
	// Hidden services are not found, and take and give only messages that fit
	// into the server's max_payload.
	Hidden bool
}

// An Endpoint serves one verb. Handle is called for one message at a time, in
// the order of arrival, and must be quick: while it runs, the others wait in
// memory, and from 64 Ki messages or 128 MiB on they are lost. The answer may
// come later.
type Endpoint struct {
	Verb   string
	Queue  string // of those with the same one gets a message; "": all get it
	Handle func(*Request)
}

// Serve begins to answer. Stop takes no more messages, waits for those that
// have arrived and for running handlers, as long as ctx allows. After it
// returned nil no handler runs or ever will; requests may still be answered,
// but answers in parts are gone.
func (b *Bus) Serve(s Service) (stop func(ctx context.Context) error, err error) {
	l := Listener{
		Name: subjectRoot + "-" + s.Name, Version: s.Version, Description: s.Description, Hidden: s.Hidden,
	}
	d := &desk{bus: b, gate: newGate()}
	if !s.Hidden {
		d.holder = newHolder(b)
	}
	for _, e := range s.Endpoints {
		subject, err := b.subject(e.Verb)
		if err != nil {
			return nil, fmt.Errorf("serve %s: %w", s.Name, err)
		}
		c := &counter{desk: d, handle: e.Handle, turn: make(chan struct{}, 1)}
		l.Topics = append(l.Topics, Topic{
			Name: strings.ReplaceAll(e.Verb, ".", "-"), Subject: subject, Queue: e.Queue, Handle: c.take,
		})
	}
	if d.holder != nil {
		l.Topics = append(l.Topics, d.holder.topic())
	}
	stopListening, err := b.t.Listen(l)
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", s.Name, err)
	}
	return func(ctx context.Context) error {
		stopListening(ctx)
		if d.holder != nil {
			d.holder.close()
		}
		if err := d.gate.close(ctx); err != nil {
			return fmt.Errorf("stop serving %s: a handler still runs: %w", s.Name, err)
		}
		return nil
	}, nil
}

// A desk is one service that is served.
type desk struct {
	bus    *Bus
	gate   *gate
	holder *holder // nil: hidden
}

// A counter is one endpoint of a desk. A message in one piece comes from the
// endpoint's own subscription, one in parts from that of the parts, so turn
// makes them come one at a time. It is a channel, not a mutex, because handlers
// may wait, and testing/synctest does not know who waits for a mutex.
type counter struct {
	*desk
	handle func(*Request)
	turn   chan struct{}
}

// take handles what arrives at the endpoint's subject.
func (c *counter) take(d Delivery) {
	if wire.IsPart(d.Header) && wire.CheckProtocol(d.Header) == nil {
		c.takeFirst(d)
		return
	}
	r := &Request{Subject: d.Subject, Message: d.Message}
	if d.Reply != nil {
		r.reply = func(m wire.Message) error { return c.reply(d.Reply, m, limitOf(d.Header)) }
	}
	c.call(r)
}

// call runs the handler, unless the desk has closed.
func (c *counter) call(r *Request) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.gate.enter() {
		defer c.gate.leave()
		c.handle(r)
	}
}

// reply sends an answer by reply, its first part if it is large or the
// requester's server takes no more than limit bytes. An answer that cannot be
// given is an error to both sides: nobody waits in vain.
func (d *desk) reply(reply func(wire.Message) error, m wire.Message, limit int) error {
	m, err := d.wire(d.bus.tellLimit(m), limit)
	if err != nil {
		if e := reply(refusalFor(err)); e != nil {
			return e
		}
		return err
	}
	return reply(m)
}

// wire returns what to send for an answer: itself, or its first part.
func (d *desk) wire(m wire.Message, limit int) (wire.Message, error) {
	limit = min(limit, d.bus.t.MaxPayload())
	switch {
	case m.Size() <= limit:
		return m, nil
	case d.holder == nil:
		return wire.Message{}, fmt.Errorf("%w: %d bytes, the servers take %d", ErrTooLarge, m.Size(), limit)
	default:
		return d.holder.keep(m, limit)
	}
}

// A Request is a message that arrived. Somebody may wait for an answer.
type Request struct {
	Subject string
	wire.Message

	reply   func(wire.Message) error // nil: a publish, nobody waits
	replied atomic.Bool
}

// Reply answers, at most once (then ErrReplied), from any goroutine and any
// time later. For a publish it does nothing. A nil error means that the answer
// is on its way to the server, not that it will arrive.
func (r *Request) Reply(m wire.Message) error {
	if r.reply == nil {
		return nil
	}
	if r.replied.Swap(true) {
		return ErrReplied
	}
	m, err := m.Stamped()
	if err != nil {
		return fmt.Errorf("reply to %s: %w", r.Subject, err)
	}
	if err := r.reply(m); err != nil {
		return fmt.Errorf("reply to %s: %w", r.Subject, err)
	}
	return nil
}

// Refuse answers, like Reply, that the request cannot be read. The requester
// gets an error, never an answer, so it asks again.
func (r *Request) Refuse(err error) error { return r.Reply(refusalFor(err)) }
