package bus

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
)

// A holder is the taker's side of messages in parts: it assembles requests and
// keeps answers until they are fetched. What nobody touches for partIdle is
// dropped.
type holder struct {
	bus *Bus
	id  string // its subject is part.<id>

	mu       sync.Mutex
	incoming map[string]*incoming // guarded by mu, and so is what it holds
	outgoing map[string]*outgoing // guarded by mu
	closed   bool                 // guarded by mu
	inside   budget               // requests in assembly, and their answers
	outside  budget               // answers that are kept
}

// incoming is a request that is being assembled, and then its answer. Only
// what has come takes memory: who announces a gigabyte and sends none costs
// none, nor a garbage collector that waits for the heap to double.
//
// It is dropped by the requester's release or partIdle after it was last
// touched; until then a repeated last part gets the answer again.
type incoming struct {
	counter *counter
	layout  layout
	header  wire.Header
	sum     uint32
	parts   [][]byte // the first, and those that have come; nil once they were handed over
	missing int
	handed  bool
	waiting []func(wire.Message) error // where the answer goes
	answer  *wire.Message
	held    int // bytes of the budget that it has
	idle    *time.Timer
	touched time.Time
}

// outgoing is an answer that waits to be fetched.
type outgoing struct {
	layout  layout
	body    []byte
	idle    *time.Timer
	touched time.Time
}

func newHolder(b *Bus) *holder {
	return &holder{
		bus: b, id: newID(), incoming: map[string]*incoming{}, outgoing: map[string]*outgoing{},
		inside: budget{limit: b.requests}, outside: budget{limit: b.answers},
	}
}

func (h *holder) topic() Topic {
	return Topic{Name: verbPart, Subject: subjectRoot + "." + h.bus.job + "." + verbPart + "." + h.id, Handle: h.take}
}

// errUnknown: a transfer that is over, or never was.
var errUnknown = errors.New("no such transfer; it may have ended by time")

// refusalFor is what the requester is told about err.
func refusalFor(err error) wire.Message {
	code := codeMalformed
	switch {
	case errors.Is(err, ErrTooLarge):
		code = codeTooLarge
	case errors.Is(err, ErrBusy):
		code = codeBusy
	case errors.Is(err, wire.ErrCorrupt):
		code = codeCorrupt
	case errors.Is(err, errUnknown):
		code = codeUnknown
	}
	return refusal(code, wire.WriteText(err.Error(), 300))
}

// say answers a part; a lost answer is asked for again.
func say(reply func(wire.Message) error, m wire.Message, err error) {
	if reply == nil {
		return
	}
	if err != nil {
		m = refusalFor(err)
	}
	_ = reply(m)
}

// takeFirst takes the first part of a request.
func (c *counter) takeFirst(d Delivery) {
	head, err := wire.ReadPart(d.Header)
	switch {
	case err == nil && head.Kind == wire.PartProbe:
		say(d.Reply, c.bus.answerProbe(head, d.Message), nil)
		return
	case err == nil && head.Kind != wire.PartFirst:
		err = fmt.Errorf("%w: %s at the subject of a verb", wire.ErrMalformed, head.Kind)
	case err == nil && c.holder == nil:
		err = fmt.Errorf("%w: this service takes no messages in parts", ErrTooLarge)
	case err == nil && d.Reply != nil:
		err = c.holder.begin(c, head, d)
	}
	var next wire.Message
	if err == nil && c.holder != nil {
		next.Header = wire.PartHead{Kind: wire.PartContinue, ID: head.ID, At: c.holder.id}.Header()
	}
	say(d.Reply, c.bus.tellLimit(next), err)
}

// cost is what a request in assembly takes of the budget. What a stranger can
// make grow counts, not the body alone: headers may be as long as a message.
func (l layout) cost(h wire.Header) int {
	return l.total + l.parts()*partBookkeeping + h.Size() + bookkeeping
}

// begin makes room for a request; a doubled first part changes nothing.
func (h *holder) begin(c *counter, head wire.PartHead, d Delivery) error {
	l, err := newLayout(head.Total, len(d.Body), head.Size)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return errUnknown
	case h.incoming[head.ID] != nil:
		return nil
	case !h.inside.take(l.cost(d.Header)):
		return fmt.Errorf("%w: request of %d bytes", ErrBusy, l.total)
	}
	t := &incoming{
		counter: c, layout: l, header: wire.WithoutPart(d.Header), sum: head.Sum,
		parts: make([][]byte, 1+l.parts()), missing: l.parts(),
		held: l.cost(d.Header), touched: time.Now(),
	}
	t.parts[0] = bytes.Clone(d.Body)
	t.idle = time.AfterFunc(partIdle, func() { h.expire(head.ID) })
	h.incoming[head.ID] = t
	return nil
}

// take handles what arrives at the holder's own subject.
func (h *holder) take(d Delivery) {
	head, err := wire.ReadPart(d.Header)
	if err == nil {
		err = wire.CheckProtocol(d.Header)
	}
	switch {
	case err != nil:
		say(d.Reply, wire.Message{}, err)
	case head.Kind == wire.PartPut && d.Reply != nil:
		h.put(head, d)
	case head.Kind == wire.PartGet:
		m, err := h.get(head)
		say(d.Reply, m, err)
	case head.Kind == wire.PartRelease:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.drop(head.ID)
	default:
		say(d.Reply, wire.Message{}, fmt.Errorf("%w: %.20q at the subject of parts", wire.ErrMalformed, head.Kind))
	}
}

// put takes one part. The answer to the last one is that to the whole request.
func (h *holder) put(head wire.PartHead, d Delivery) {
	m, complete, err := h.store(head, d)
	if m.Header != nil || err != nil {
		say(d.Reply, m, err)
	}
	if complete == nil {
		return
	}
	body := bytes.Join(complete.parts, nil)
	if wire.Checksum(body) != complete.sum {
		damaged := refusalFor(fmt.Errorf("%w: checksum of %d bytes in parts is wrong", wire.ErrCorrupt, len(body)))
		_ = h.answer(head.ID, complete, damaged)
		return
	}
	r := &Request{
		Subject: d.Subject, Message: wire.Message{Header: complete.header, Body: body},
		reply: func(m wire.Message) error {
			return complete.counter.reply(func(m wire.Message) error { return h.answer(head.ID, complete, m) }, m, limitOf(complete.header))
		},
	}
	complete.counter.call(r)
}

// store notes one part. It returns what to answer at once, if anything, and
// the transfer if this part has made it complete.
func (h *holder) store(head wire.PartHead, d Delivery) (answer wire.Message, complete *incoming, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.incoming[head.ID]
	if t == nil {
		return wire.Message{}, nil, errUnknown
	}
	i, ok := t.layout.index(head.Offset)
	if !ok {
		return wire.Message{}, nil, fmt.Errorf("%w: no part begins at %d", wire.ErrMalformed, head.Offset)
	}
	from, to := t.layout.part(i)
	if len(d.Body) != to-from {
		return wire.Message{}, nil, fmt.Errorf("%w: part of %d bytes at %d, want %d", wire.ErrMalformed, len(d.Body), from, to-from)
	}
	t.touched = time.Now()
	t.idle.Reset(partIdle)
	if !t.handed && t.parts[1+i] == nil {
		t.parts[1+i] = bytes.Clone(d.Body)
		t.missing--
	}
	switch {
	case i < t.layout.parts()-1:
		answer.Header = wire.PartHead{Kind: wire.PartHave, ID: head.ID, Offset: from}.Header()
	case t.answer != nil:
		answer = *t.answer
	default: // also when it is handled already: the answer will go to all who asked
		t.waiting = append(t.waiting, d.Reply)
		t.waiting = t.waiting[max(0, len(t.waiting)-maxWaiting):]
	}
	if t.missing == 0 && !t.handed {
		t.handed = true
		done := *t
		complete, t.parts = &done, nil // the body is the handler's until it has answered, and counts as long
	}
	return answer, complete, nil
}

// answer keeps the answer to a request in parts, and sends it to all who wait.
// If there is no room to keep it, who asks again has to begin again.
func (h *holder) answer(id string, of *incoming, m wire.Message) error {
	h.mu.Lock()
	waiting := of.waiting
	if t := h.incoming[id]; t != nil {
		waiting, t.waiting = t.waiting, nil
		if t.handed && t.answer == nil {
			h.inside.give(t.layout.total)
			t.held -= t.layout.total
		}
		if size := m.Size(); h.inside.take(size) {
			t.held += size
			t.answer = &m
		} else {
			h.drop(id)
		}
	}
	h.mu.Unlock()
	var errs []error
	for _, reply := range slices.Backward(waiting) {
		errs = append(errs, reply(m))
	}
	return errors.Join(errs...)
}

// keep stores an answer to be fetched and returns its first part.
func (h *holder) keep(m wire.Message, limit int) (wire.Message, error) {
	id := newID()
	l, first, err := cut(m, limit, id, h.id)
	if err != nil {
		return wire.Message{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return wire.Message{}, fmt.Errorf("%w: the service has stopped", ErrClosed)
	case !h.outside.take(l.total + bookkeeping):
		return wire.Message{}, fmt.Errorf("%w: answer of %d bytes", ErrBusy, l.total)
	}
	t := &outgoing{layout: l, body: m.Body, touched: time.Now()}
	t.idle = time.AfterFunc(partIdle, func() { h.expire(id) })
	h.outgoing[id] = t
	h.bus.kept.Add(int64(l.total))
	return first, nil
}

// get returns one part of a kept answer.
func (h *holder) get(head wire.PartHead) (wire.Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.outgoing[head.ID]
	if t == nil {
		return wire.Message{}, errUnknown
	}
	i, ok := t.layout.index(head.Offset)
	if !ok {
		return wire.Message{}, fmt.Errorf("%w: no part begins at %d", wire.ErrMalformed, head.Offset)
	}
	t.touched = time.Now()
	t.idle.Reset(partIdle)
	from, to := t.layout.part(i)
	header := wire.PartHead{Kind: wire.PartPart, ID: head.ID, Offset: from}.Header()
	return wire.Message{Header: header, Body: t.body[from:to:to]}, nil
}
