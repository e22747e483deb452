package bus

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
)

// A holder is the responder's side of messages in parts: it assembles requests, and keeps answers until the requester
// has fetched them. A transfer is dropped when no part of it has been sent or fetched for partIdle.
type holder struct {
	bus *Bus
	id  string // its subject is part.<id>

	mu       sync.Mutex
	incoming map[string]*incoming // guarded by mu, with what it points to
	outgoing map[string]*outgoing // guarded by mu
	closed   bool                 // guarded by mu
	inside   budget               // of incoming
	outside  budget               // of outgoing
}

// incoming is a request that is being assembled, and later its answer. Memory is allocated for the parts that have
// arrived, not for the announced size: otherwise one small message could make this process allocate a gigabyte.
//
// It is dropped when the requester releases it. Until then a repeated last part gets the answer again.
type incoming struct {
	endpoint *endpoint
	layout   layout
	header   wire.Header
	sum      uint32
	parts    [][]byte // the first, and those that have arrived; nil once the handler has them
	missing  int
	handed   bool
	waiting  []func(wire.Message) error // each sends the answer to one repeat of the last part
	answer   *wire.Message
	held     int // bytes of the budget that it takes
	idle     *time.Timer
	touched  time.Time
}

// outgoing is an answer that the requester has yet to fetch.
type outgoing struct {
	layout  layout
	body    []byte
	idle    *time.Timer
	touched time.Time
}

func newHolder(b *Bus) *holder {
	return &holder{
		bus: b, id: rand.Text(), incoming: map[string]*incoming{}, outgoing: map[string]*outgoing{},
		inside: budget{limit: b.requests}, outside: budget{limit: b.answers},
	}
}

func (h *holder) topic() Topic {
	return Topic{Name: verbPart, Subject: subjectRoot + "." + h.bus.job + "." + verbPart + "." + h.id, Handle: h.receive}
}

// errUnknown means that the transfer is over or never began.
var errUnknown = errors.New("no such transfer; it may have timed out")

// refusalFor returns the message that tells the requester about err.
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

// answerPart replies to a part. If the reply is lost, the requester sends the part again.
func answerPart(reply func(wire.Message) error, m wire.Message, err error) {
	if reply == nil {
		return
	}
	if err != nil {
		m = refusalFor(err)
	}
	_ = reply(m)
}

// receiveFirst handles the first part of a request, or a probe.
func (e *endpoint) receiveFirst(d Delivery) {
	head, err := wire.ReadPart(d.Header)
	switch {
	case err == nil && head.Kind == wire.PartProbe:
		answerPart(d.Reply, e.bus.answerProbe(head, d.Message), nil)
		return
	case err == nil && head.Kind != wire.PartFirst:
		err = fmt.Errorf("%w: %s at the subject of a verb", wire.ErrMalformed, head.Kind)
	case err == nil && e.holder == nil:
		err = fmt.Errorf("%w: this service accepts no messages in parts", ErrTooLarge)
	case err == nil && d.Reply != nil:
		err = e.holder.begin(e, head, d)
	}
	var next wire.Message
	if err == nil && e.holder != nil {
		next.Header = wire.PartHead{Kind: wire.PartContinue, ID: head.ID, At: e.holder.id}.Header()
	}
	answerPart(d.Reply, e.bus.withLimit(next), err)
}

// cost returns how many bytes of the budget a request takes. It counts not only the body but everything that a client
// can make grow: headers may be as long as a message.
func (l layout) cost(h wire.Header) int {
	return l.total + l.parts()*partBookkeeping + h.Size() + bookkeeping
}

// begin reserves memory for a request. A repeated first part changes nothing.
func (h *holder) begin(e *endpoint, head wire.PartHead, d Delivery) error {
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
	case !h.inside.reserve(l.cost(d.Header)):
		return fmt.Errorf("%w: request of %d bytes", ErrBusy, l.total)
	}
	t := &incoming{
		endpoint: e, layout: l, header: wire.WithoutPart(d.Header), sum: head.Sum,
		parts: make([][]byte, 1+l.parts()), missing: l.parts(),
		held: l.cost(d.Header), touched: time.Now(),
	}
	t.parts[0] = bytes.Clone(d.Body)
	t.idle = time.AfterFunc(partIdle, func() { h.expire(head.ID) })
	h.incoming[head.ID] = t
	return nil
}

// receive handles a part at the holder's own subject.
func (h *holder) receive(d Delivery) {
	head, err := wire.ReadPart(d.Header)
	if err == nil {
		err = wire.CheckProtocol(d.Header)
	}
	switch {
	case err != nil:
		answerPart(d.Reply, wire.Message{}, err)
	case head.Kind == wire.PartPut && d.Reply != nil:
		h.put(head, d)
	case head.Kind == wire.PartGet:
		m, err := h.get(head)
		answerPart(d.Reply, m, err)
	case head.Kind == wire.PartRelease:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.drop(head.ID)
	default:
		answerPart(d.Reply, wire.Message{}, fmt.Errorf("%w: %.20q at the subject of parts", wire.ErrMalformed, head.Kind))
	}
}

// put handles one part. The reply to the last one is the answer to the whole request.
func (h *holder) put(head wire.PartHead, d Delivery) {
	m, complete, err := h.store(head, d)
	if m.Header != nil || err != nil {
		answerPart(d.Reply, m, err)
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
		reply: func(m wire.Message) (free bool, err error) {
			_, err = complete.endpoint.reply(func(m wire.Message) error { return h.answer(head.ID, complete, m) }, m, limitOf(complete.header))
			return false, err // the answer is kept, because the last part may be repeated
		},
	}
	complete.endpoint.call(r)
}

// store keeps one part. It returns the immediate reply, if there is one, and the transfer if this part has completed
// it.
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
	default: // also while the handler runs: the answer goes to all repeats of the last part
		t.waiting = append(t.waiting, d.Reply)
		t.waiting = t.waiting[max(0, len(t.waiting)-maxWaiting):]
	}
	if t.missing == 0 && !t.handed {
		t.handed = true
		done := *t
		complete, t.parts = &done, nil // the handler has the body now; the budget counts it until there is an answer
	}
	return answer, complete, nil
}

// answer sends the answer to a request in parts as the reply to all repeats of its last part, and keeps it for later
// ones. If there is no room to keep it, answer drops the transfer, and a requester that missed the answer must begin
// again.
func (h *holder) answer(id string, of *incoming, m wire.Message) error {
	h.mu.Lock()
	waiting := of.waiting
	if t := h.incoming[id]; t != nil {
		waiting, t.waiting = t.waiting, nil
		if t.handed && t.answer == nil {
			h.inside.release(t.layout.total)
			t.held -= t.layout.total
		}
		if size := m.Size(); h.inside.reserve(size) {
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

// keep stores an answer until it is fetched, and returns its first part.
func (h *holder) keep(m wire.Message, limit int) (wire.Message, error) {
	id := rand.Text()
	l, first, err := cut(m, limit, id, h.id)
	if err != nil {
		return wire.Message{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return wire.Message{}, fmt.Errorf("%w: the service has stopped", ErrClosed)
	case !h.outside.reserve(l.total + bookkeeping):
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

// expire drops a transfer that has timed out. If a part arrived while the timer fired, the timer was set again, and
// expire drops nothing.
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
		h.inside.release(t.held)
		delete(h.incoming, id)
	}
	if t := h.outgoing[id]; t != nil {
		t.idle.Stop()
		h.outside.release(t.layout.total + bookkeeping)
		delete(h.outgoing, id)
		h.bus.kept.Add(-int64(t.layout.total))
		if h.bus.freed != nil {
			h.bus.freed()
		}
	}
}

// close drops all transfers. Handlers may still reply to requests that they have.
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

// A budget bounds the bytes that are held. A message larger than the whole limit is accepted while nothing else is
// held; otherwise it could never be sent.
type budget struct {
	limit int

	mu   sync.Mutex
	used int // guarded by mu
}

// reserve reserves n bytes and reports whether there was room.
func (b *budget) reserve(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used > 0 && n > b.limit-b.used {
		return false
	}
	b.used += n
	return true
}

func (b *budget) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
}
