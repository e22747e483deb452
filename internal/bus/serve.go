package bus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/wire"
)

// A Service is the set of endpoints that a role serves.
type Service struct {
	// Name consists of letters, digits, '_' and '-'. `nats micro ls` shows it as "chunkline-<Name>".
	Name        string
	Version     string // any text; discovery shows one that is not SemVer as metadata
	Description string
	Endpoints   []Endpoint
	// A Hidden service is not shown by `nats micro ls`, and handles only messages that fit into the server's
	// max_payload.
	Hidden bool
}

// An Endpoint serves one verb. Handle is called for one message at a time, in the order of arrival. It must be quick:
// other messages wait in memory meanwhile, and beyond 64 Ki messages or 128 MiB they are lost. The reply may be sent
// after Handle has returned.
type Endpoint struct {
	Verb   string
	Queue  string // subscribers with the same queue share the messages; "": each gets all
	Handle func(*Request)
}

// Serve subscribes to the endpoints. stop unsubscribes, then waits until all messages that have arrived are handled,
// for as long as ctx allows. After it has returned nil, no handler runs any more. Requests may still be replied to, but
// replies in parts can no longer be fetched.
func (b *Bus) Serve(s Service) (stop func(ctx context.Context) error, err error) {
	l := Listener{
		Name: subjectRoot + "-" + s.Name, Version: s.Version, Description: s.Description, Hidden: s.Hidden,
	}
	running := &service{bus: b, gate: newGate()}
	if !s.Hidden {
		running.holder = newHolder(b)
	}
	for _, e := range s.Endpoints {
		subject, err := b.subject(e.Verb)
		if err != nil {
			return nil, fmt.Errorf("serve %s: %w", s.Name, err)
		}
		at := &endpoint{service: running, handle: e.Handle, turn: make(chan struct{}, 1)}
		l.Topics = append(l.Topics, Topic{
			Name: strings.ReplaceAll(e.Verb, ".", "-"), Subject: subject, Queue: e.Queue, Handle: at.receive,
		})
	}
	if running.holder != nil {
		l.Topics = append(l.Topics, running.holder.topic())
	}
	stopListening, err := b.t.Listen(l)
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", s.Name, err)
	}
	return func(ctx context.Context) error {
		stopListening(ctx)
		if running.holder != nil {
			running.holder.close()
		}
		if err := running.gate.close(ctx); err != nil {
			return fmt.Errorf("stop serving %s: a handler still runs: %w", s.Name, err)
		}
		return nil
	}, nil
}

// A service is a Service that is being served.
type service struct {
	bus    *Bus
	gate   *gate
	holder *holder // nil: hidden
}

// An endpoint is an Endpoint that is being served. Whole messages arrive at its own subscription, messages in parts at
// that of the holder. turn lets the handler run for one message at a time. It is a channel and not a mutex, because
// handlers may block, and testing/synctest does not count waiting for a mutex.
type endpoint struct {
	*service
	handle func(*Request)
	turn   chan struct{}
}

// receive handles a message at the endpoint's subject.
func (e *endpoint) receive(d Delivery) {
	if wire.IsPart(d.Header) && wire.CheckProtocol(d.Header) == nil {
		e.receiveFirst(d)
		return
	}
	r := &Request{Subject: d.Subject, Message: d.Message}
	if d.Reply != nil {
		r.reply = func(m wire.Message) (free bool, err error) { return e.reply(d.Reply, m, limitOf(d.Header)) }
	}
	e.call(r)
}

// call runs the handler, unless the service has stopped.
func (e *endpoint) call(r *Request) {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	if e.gate.enter() {
		defer e.gate.leave()
		e.handle(r)
	}
}

// reply sends an answer, or its first part if the answer is larger than limit, the max_payload of the requester's
// server. If the answer cannot be sent, the requester gets an error, too, and does not wait for its timeout. free
// reports whether nothing refers to the answer's body any more.
func (s *service) reply(send func(wire.Message) error, m wire.Message, limit int) (free bool, err error) {
	m, whole, err := s.fit(s.bus.withLimit(m), limit)
	if err != nil {
		if sendErr := send(refusalFor(err)); sendErr != nil {
			return false, sendErr
		}
		return false, err
	}
	err = send(m)
	return whole && err == nil, err
}

// fit returns the whole answer, or its first part if it is larger than limit.
func (s *service) fit(m wire.Message, limit int) (_ wire.Message, whole bool, err error) {
	limit = min(limit, s.bus.t.MaxPayload())
	switch {
	case m.Size() <= limit:
		return m, true, nil
	case s.holder == nil:
		return wire.Message{}, false, fmt.Errorf("%w: %d bytes, the server accepts %d", ErrTooLarge, m.Size(), limit)
	default:
		m, err = s.holder.keep(m, limit)
		return m, false, err
	}
}

// A Request is a message that has arrived and can be answered.
type Request struct {
	Subject string
	wire.Message

	reply   func(wire.Message) (free bool, err error) // nil: a publish, without a reply
	replied atomic.Bool
}

// Reply sends the answer, once; a second call returns ErrReplied. It may be called from any goroutine at any later
// time. For a publish it does nothing. A nil error means that the answer is on its way to the server, not that it will
// arrive.
func (r *Request) Reply(m wire.Message) error {
	_, err := r.ReplyFrom(m)
	return err
}

// ReplyFrom is Reply for a caller that wants to reuse the memory of m's body. It may do so if free is true. Otherwise
// the bus keeps the body, because it travels in parts or the reply may have to be repeated.
func (r *Request) ReplyFrom(m wire.Message) (free bool, err error) {
	if r.reply == nil {
		return true, nil
	}
	if r.replied.Swap(true) {
		return false, ErrReplied
	}
	if m, err = m.Stamped(); err == nil {
		free, err = r.reply(m)
	}
	if err != nil {
		return false, fmt.Errorf("reply to %s: %w", r.Subject, err)
	}
	return free, nil
}

// Refuse replies that the request cannot be read. The requester gets an error and asks again.
func (r *Request) Refuse(err error) error { return r.Reply(refusalFor(err)) }

// A gate counts handlers and goroutines. After close, no more of them can enter; close waits until the last one has
// left. A sync.WaitGroup cannot do that: Add must not run concurrently with Wait.
type gate struct {
	mu     sync.Mutex
	inside int           // guarded by mu
	closed bool          // guarded by mu
	empty  chan struct{} // closed once the gate is closed and the last one has left
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter reports whether the caller may run. If so, it must call leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

// run runs f in a goroutine. It returns false, and does not run f, if the gate is closed.
func (g *gate) run(f func()) bool {
	if !g.enter() {
		return false
	}
	go func() {
		defer g.leave()
		f()
	}()
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// close makes enter return false, and waits until the last one has left or ctx ends.
func (g *gate) close(ctx context.Context) error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		if g.inside == 0 {
			close(g.empty)
		}
	}
	g.mu.Unlock()
	select {
	case <-g.empty:
		return nil
	default:
	}
	select {
	case <-g.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
