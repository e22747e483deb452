package bus

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/wire"
)

// A Bus sends and receives the messages of one job over one connection. Its methods may be called from several
// goroutines.
type Bus struct {
	t         Transport
	job       string
	id        string
	receiving budget        // answers in parts that are being fetched
	window    chan struct{} // one for each part that is being fetched
	routes    routes

	requests int          // bound for bytes of requests in parts
	answers  int          // bound for bytes of answers in parts
	kept     atomic.Int64 // bytes of answers in parts that wait to be fetched
	freed    func()       // called when kept has decreased; may be nil
}

// New makes a bus for a job over t. Closing the bus closes t.
func New(t Transport, job string) *Bus { return NewWithID(t, job, rand.Text()) }

// NewWithID is New with an ID that the caller chooses, so that simulations are repeatable. It must be unique.
func NewWithID(t Transport, job, id string) *Bus {
	return &Bus{t: t, job: job, id: id, receiving: budget{limit: maxHeld}, window: make(chan struct{}, partWindow), requests: maxHeld, answers: maxHeld, routes: routes{log: zerolog.Nop(), measure: make(chan struct{}, 1)}}
}

// Bound limits the memory for messages in parts: requests bytes for requests that are not answered yet, and answers
// bytes for answers that are not fetched yet. The default is 256 MiB each. Beyond that, a requester gets ErrBusy; a
// single message may exceed the bound. If freed is not nil, it is called whenever the bytes of answers decrease; it
// must not block. Call Bound before Serve.
func (b *Bus) Bound(requests, answers int, freed func()) {
	b.requests, b.answers, b.freed = requests, answers, freed
}

// Kept is the number of bytes of answers in parts that have yet to be fetched.
func (b *Bus) Kept() int { return int(b.kept.Load()) }

// Job is the name of the job.
func (b *Bus) Job() string { return b.job }

// ID is unique to this Bus: letters and digits. It names a process instance.
func (b *Bus) ID() string { return b.id }

// Request sends m to a subscriber of verb and returns the answer. ctx needs a deadline, because an answer may never
// arrive. A message above max_payload travels in parts. After any error but ErrTooLarge, another try may succeed.
// Without an error, the caller may use the memory of m's body again.
func (b *Bus) Request(ctx context.Context, verb string, m wire.Message) (wire.Message, error) {
	return b.request(ctx, ctx, verb, m)
}

// Await is Request for an answer that may be large. wait bounds only the time until the answer
// begins to arrive: on a slow link the parts of an answer may take much longer. ctx needs no
// deadline, because the wait for each part is bounded, too.
func (b *Bus) Await(ctx context.Context, wait time.Duration, verb string, m wire.Message) (wire.Message, error) {
	waiting, done := context.WithTimeout(ctx, wait)
	defer done()
	return b.request(waiting, ctx, verb, m)
}

// request waits for an answer until waiting ends, and fetches the parts of the answer until fetching ends.
func (b *Bus) request(waiting, fetching context.Context, verb string, m wire.Message) (wire.Message, error) {
	answer, err := b.send(waiting, verb, m)
	if err == nil {
		answer, err = b.fetchParts(fetching, answer)
	}
	if err != nil {
		return wire.Message{}, fmt.Errorf("request %s: %w", verb, err)
	}
	return answer, nil
}

// send sends m, in parts if necessary, and returns the answer, or its first part.
func (b *Bus) send(ctx context.Context, verb string, m wire.Message) (wire.Message, error) {
	subject, err := b.subject(verb)
	if err != nil {
		return wire.Message{}, err
	}
	if m, err = m.Stamped(); err != nil {
		return wire.Message{}, err
	}
	limit, losses, err := b.limitTo(ctx, verb, subject)
	if err != nil {
		return wire.Message{}, err
	}
	m = addLimit(m, limit)
	var answer wire.Message
	if m.Size() <= limit {
		answer, err = b.exchange(ctx, subject, m)
	} else {
		answer, err = b.sendParts(ctx, subject, m, limit)
	}
	b.routes.note(verb, b.t.MaxPayload(), m.Size(), losses, answer, err)
	return answer, err
}

// exchange sends m in one message and returns the answer, which is of our protocol.
func (b *Bus) exchange(ctx context.Context, subject string, m wire.Message) (wire.Message, error) {
	answer, err := b.t.Request(ctx, subject, m)
	if err != nil {
		return wire.Message{}, err
	}
	if err := serviceError(answer.Header); err != nil {
		return wire.Message{}, err
	}
	return answer, wire.CheckProtocol(answer.Header)
}

// Publish sends m to all subscribers of verb. It never travels in parts: above max_payload, Publish returns
// ErrTooLarge. Without a connection it returns ErrOffline at once, and within 3 s if the server has stopped reading.
func (b *Bus) Publish(verb string, m wire.Message) error {
	if err := b.publish(verb, m); err != nil {
		return fmt.Errorf("publish %s: %w", verb, err)
	}
	return nil
}

func (b *Bus) publish(verb string, m wire.Message) error {
	subject, err := b.subject(verb)
	if err != nil {
		return err
	}
	if m, err = m.Stamped(); err != nil {
		return err
	}
	if limit := b.t.MaxPayload(); m.Size() > limit {
		return fmt.Errorf("%w: %d bytes, the server takes %d", ErrTooLarge, m.Size(), limit)
	}
	return b.t.Publish(subject, m)
}

// MaxPayload is the size of the largest message that the server takes, in bytes. A larger one travels in parts.
func (b *Bus) MaxPayload() int { return b.t.MaxPayload() }

// Flush returns when everything published before has reached the server.
func (b *Bus) Flush(ctx context.Context) error {
	if err := b.t.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// Online reports whether the connection is up. It never blocks.
func (b *Bus) Online() bool { return b.t.Online() }

// WaitOnline returns once the connection is up (nil), is closed for good (ErrClosed and why) or ctx has ended.
func (b *Bus) WaitOnline(ctx context.Context) error { return b.t.WaitOnline(ctx) }

// OnConnect calls do each time that the connection comes up from now on. It returns when ctx has ended or the
// connection is closed for good.
func (b *Bus) OnConnect(ctx context.Context, do func()) {
	for lost := b.t.Lost(); ; {
		select {
		case <-lost:
		case <-ctx.Done():
			return
		}
		if b.t.WaitOnline(ctx) != nil {
			return
		}
		lost = b.t.Lost() // before do, so that a break during do is noticed
		do()
	}
}

// Closed is closed when the connection is closed for good: by Close, or because the server denies what this role needs.
func (b *Bus) Closed() <-chan struct{} { return b.t.Closed() }

// Err returns why the connection is closed for good, and nil while it is not.
func (b *Bus) Err() error { return b.t.Err() }

// Stats returns the counts of the connection.
func (b *Bus) Stats() Stats { return b.t.Stats() }

// Close closes the connection. Pending requests get ErrClosed. Stop services first.
func (b *Bus) Close() { b.t.Close() }

const subjectRoot = "chunkline"

// subject is the subject of a verb of this job.
func (b *Bus) subject(verb string) (string, error) {
	for token := range strings.SplitSeq(verb, ".") {
		if !wire.IsName(token) {
			return "", fmt.Errorf("%w: verb %.80q", wire.ErrMalformed, verb)
		}
	}
	if !wire.IsName(b.job) {
		return "", fmt.Errorf("%w: job name %.80q", wire.ErrMalformed, b.job)
	}
	return subjectRoot + "." + b.job + "." + verb, nil
}

// Services report errors as nats.go's micro package does, so that any client understands them.
const (
	keyServiceError = "Nats-Service-Error"
	keyServiceCode  = "Nats-Service-Error-Code"

	codeMalformed = "400" // the message or part is malformed
	codeUnknown   = "404" // no such transfer, or it is over
	codeTooLarge  = "413"
	codeCorrupt   = "422" // the checksum of the whole body is wrong
	codeBusy      = "429"
)

// serviceError returns the error that an answer reports, or nil if it reports none.
func serviceError(h wire.Header) error {
	text, has := h[keyServiceError]
	code, coded := h[keyServiceCode]
	if !has && !coded {
		return nil
	}
	err := fmt.Errorf("%w: %.300q (code %.20q)", ErrService, text, code)
	switch code {
	case codeTooLarge:
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case codeCorrupt:
		return fmt.Errorf("%w: %w", wire.ErrCorrupt, err)
	case codeBusy:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// refusal is the message that reports an error to the requester.
func refusal(code, text string) wire.Message {
	return wire.Message{Header: wire.Header{wire.KeyProtocol: wire.Protocol, keyServiceError: text, keyServiceCode: code}}
}
