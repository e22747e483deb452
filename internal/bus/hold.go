package bus

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
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
	header  Header
	sum     uint32
	parts   [][]byte // the first, and those that have come; nil once they were handed over
	missing int
	handed  bool
	waiting []func(Message) error // where the answer goes
	answer  *Message
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
func refusalFor(err error) Message {
	code := codeMalformed
	switch {
	case errors.Is(err, ErrTooLarge):
		code = codeTooLarge
	case errors.Is(err, ErrBusy):
		code = codeBusy
	case errors.Is(err, ErrCorrupt):
		code = codeCorrupt
	case errors.Is(err, errUnknown):
		code = codeUnknown
	}
	return refusal(code, writeText(err.Error(), 300))
}

// say answers a part; a lost answer is asked for again.
func say(reply func(Message) error, m Message, err error) {
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
	head, err := readPart(d.Header)
	switch {
	case err == nil && head.kind == partProbe:
		say(d.Reply, c.bus.answerProbe(head, d.Message), nil)
		return
	case err == nil && head.kind != partFirst:
		err = fmt.Errorf("%w: %s at the subject of a verb", ErrMalformed, head.kind)
	case err == nil && c.holder == nil:
		err = fmt.Errorf("%w: this service takes no messages in parts", ErrTooLarge)
	case err == nil && d.Reply != nil:
		err = c.holder.begin(c, head, d)
	}
	var next Message
	if err == nil && c.holder != nil {
		next.Header = partHead{kind: partContinue, id: head.id, at: c.holder.id}.header()
	}
	say(d.Reply, c.bus.tellLimit(next), err)
}

// cost is what a request in assembly takes of the budget. What a stranger can
// make grow counts, not the body alone: headers may be as long as a message.
func (l layout) cost(h Header) int {
	return l.total + l.parts()*partBookkeeping + h.size() + bookkeeping
}

// begin makes room for a request; a doubled first part changes nothing.
func (h *holder) begin(c *counter, head partHead, d Delivery) error {
	l, err := newLayout(head.total, len(d.Body), head.size)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return errUnknown
	case h.incoming[head.id] != nil:
		return nil
	case !h.inside.take(l.cost(d.Header)):
		return fmt.Errorf("%w: request of %d bytes", ErrBusy, l.total)
	}
	t := &incoming{
		counter: c, layout: l, header: withoutPart(d.Header), sum: head.sum,
		parts: make([][]byte, 1+l.parts()), missing: l.parts(),
		held: l.cost(d.Header), touched: time.Now(),
	}
	t.parts[0] = bytes.Clone(d.Body)
	t.idle = time.AfterFunc(partIdle, func() { h.expire(head.id) })
	h.incoming[head.id] = t
	return nil
}

// take handles what arrives at the holder's own subject.
func (h *holder) take(d Delivery) {
	head, err := readPart(d.Header)
	if err == nil {
		err = checkProtocol(d.Header)
	}
	switch {
	case err != nil:
		say(d.Reply, Message{}, err)
	case head.kind == partPut && d.Reply != nil:
		h.put(head, d)
	case head.kind == partGet:
		m, err := h.get(head)
		say(d.Reply, m, err)
	case head.kind == partRelease:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.drop(head.id)
	default:
		say(d.Reply, Message{}, fmt.Errorf("%w: %.20q at the subject of parts", ErrMalformed, head.kind))
	}
}

// put takes one part. The answer to the last one is that to the whole request.
func (h *holder) put(head partHead, d Delivery) {
	m, complete, err := h.store(head, d)
	if m.Header != nil || err != nil {
		say(d.Reply, m, err)
	}
	if complete == nil {
		return
	}
	body := bytes.Join(complete.parts, nil)
	if checksum(body) != complete.sum {
		damaged := refusalFor(fmt.Errorf("%w: checksum of %d bytes in parts is wrong", ErrCorrupt, len(body)))
		_ = h.answer(head.id, complete, damaged)
		return
	}
	r := &Request{
		Subject: d.Subject, Message: Message{Header: complete.header, Body: body},
		reply: func(m Message) error {
			return complete.counter.reply(func(m Message) error { return h.answer(head.id, complete, m) }, m, limitOf(complete.header))
		},
	}
	complete.counter.call(r)
}

// store notes one part. It returns what to answer at once, if anything, and
// the transfer if this part has made it complete.
func (h *holder) store(head partHead, d Delivery) (answer Message, complete *incoming, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.incoming[head.id]
	if t == nil {
		return Message{}, nil, errUnknown
	}
	i, ok := t.layout.index(head.offset)
	if !ok {
		return Message{}, nil, fmt.Errorf("%w: no part begins at %d", ErrMalformed, head.offset)
	}
	from, to := t.layout.part(i)
	if len(d.Body) != to-from {
		return Message{}, nil, fmt.Errorf("%w: part of %d bytes at %d, want %d", ErrMalformed, len(d.Body), from, to-from)
	}
	t.touched = time.Now()
	t.idle.Reset(partIdle)
	if !t.handed && t.parts[1+i] == nil {
		t.parts[1+i] = bytes.Clone(d.Body)
		t.missing--
	}
	switch {
	case i < t.layout.parts()-1:
		answer.Header = partHead{kind: partHave, id: head.id, offset: from}.header()
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
func (h *holder) answer(id string, of *incoming, m Message) error {
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
func (h *holder) keep(m Message, limit int) (Message, error) {
	id := newID()
	l, first, err := cut(m, limit, id, h.id)
	if err != nil {
		return Message{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return Message{}, fmt.Errorf("%w: the service has stopped", ErrClosed)
	case !h.outside.take(l.total + bookkeeping):
		return Message{}, fmt.Errorf("%w: answer of %d bytes", ErrBusy, l.total)
	}
	t := &outgoing{layout: l, body: m.Body, touched: time.Now()}
	t.idle = time.AfterFunc(partIdle, func() { h.expire(id) })
	h.outgoing[id] = t
	h.bus.kept.Add(int64(l.total))
	return first, nil
}

// get returns one part of a kept answer.
func (h *holder) get(head partHead) (Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.outgoing[head.id]
	if t == nil {
		return Message{}, errUnknown
	}
	i, ok := t.layout.index(head.offset)
	if !ok {
		return Message{}, fmt.Errorf("%w: no part begins at %d", ErrMalformed, head.offset)
	}
	t.touched = time.Now()
	t.idle.Reset(partIdle)
	from, to := t.layout.part(i)
	header := partHead{kind: partPart, id: head.id, offset: from}.header()
	return Message{Header: header, Body: t.body[from:to:to]}, nil
}
