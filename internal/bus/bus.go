package bus

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/wire"
)

// A Bus is one connection to a job's messages. All methods may be called from
// several goroutines.
type Bus struct {
	t         Transport
	job       string
	id        string
	receiving budget // answers in parts that are being fetched
	routes    routes

	requests int          // most bytes of requests in parts
	answers  int          // most bytes of answers in parts that wait to be fetched
	kept     atomic.Int64 // bytes of answers in parts that wait to be fetched
	freed    func()       // called when kept has become less; nil: nobody asks
}

// New makes a bus for a job over t. Closing the bus closes t.
func New(t Transport, job string) *Bus { return NewWithID(t, job, newID()) }

// NewWithID is New with an ID that the caller chooses, which must be unique:
// for simulations that happen the same way twice.
func NewWithID(t Transport, job, id string) *Bus {
	return &Bus{t: t, job: job, id: id, receiving: budget{limit: maxHeld}, requests: maxHeld, answers: maxHeld, routes: routes{log: zerolog.Nop(), measure: make(chan struct{}, 1)}}
}

// Bound sets how many bytes of requests in parts, until they are answered, and how many of
// answers in parts are held at a time: 256 MiB each at first. What is beyond is answered
// busy, but for one message that is larger by itself. freed is called, if it is not nil,
// when there are fewer answers; it must not wait. Bound is called before Serve.
func (b *Bus) Bound(requests, answers int, freed func()) {
	b.requests, b.answers, b.freed = requests, answers, freed
}

// Kept is how many bytes of answers wait to be fetched in parts.
func (b *Bus) Kept() int { return int(b.kept.Load()) }

// newID returns 26 random letters and digits: 130 bits, not to be guessed.
func newID() string { return rand.Text() }

// Job is the name of the job.
func (b *Bus) Job() string { return b.job }

// ID is unique to this Bus: letters and digits. It names a process instance.
func (b *Bus) ID() string { return b.id }

// Request sends m to whoever serves verb and returns the answer. It needs a
// ctx with an end: an answer may never come. A message above the server's
// max_payload goes in parts; of the errors, ErrTooLarge is the only one for
// which repeating cannot help.
func (b *Bus) Request(ctx context.Context, verb string, m wire.Message) (wire.Message, error) {
	answer, err := b.request(ctx, verb, m)
	if err != nil {
		return wire.Message{}, fmt.Errorf("request %s: %w", verb, err)
	}
	return answer, nil
}

func (b *Bus) request(ctx context.Context, verb string, m wire.Message) (wire.Message, error) {
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
	m = tell(m, limit)
	var answer wire.Message
	if m.Size() <= limit {
		answer, err = b.exchange(ctx, subject, m)
	} else {
		answer, err = b.sendParts(ctx, subject, m, limit)
	}
	b.routes.note(verb, b.t.MaxPayload(), m.Size(), losses, answer, err)
	if err != nil {
		return wire.Message{}, err
	}
	return b.fetchParts(ctx, answer)
}

// exchange sends one single message and returns an answer of our protocol.
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

// Publish sends m to everyone who serves verb. It is never sent in parts:
// above the server's max_payload it is ErrTooLarge. It fails with ErrOffline
// rather than wait: within 3 s, at once when NATS is known to be away.
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

// Flush returns when what was published has reached the server.
func (b *Bus) Flush(ctx context.Context) error {
	if err := b.t.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// Online says whether the connection is up, without waiting for it.
func (b *Bus) Online() bool { return b.t.Online() }

// WaitOnline returns once the connection is up (nil), is closed for good
// (ErrClosed and why) or ctx has ended.
func (b *Bus) WaitOnline(ctx context.Context) error { return b.t.WaitOnline(ctx) }

// Closed is closed when the connection is closed for good: by Close, or
// because the server does not let this role do its work.
func (b *Bus) Closed() <-chan struct{} { return b.t.Closed() }

// Err says why the connection is closed for good; nil while it is not.
func (b *Bus) Err() error { return b.t.Err() }

// Stats counts what the connection went through.
func (b *Bus) Stats() Stats { return b.t.Stats() }

// Close closes the connection; what waits for an answer gets ErrClosed. Stop
// what is served first.
func (b *Bus) Close() { b.t.Close() }

const subjectRoot = "chunkline"

// subject is where a verb of this job is served.
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

// Services report errors the way nats.go's micro package does, so that a
// client of any kind understands them.
const (
	keyServiceError = "Nats-Service-Error"
	keyServiceCode  = "Nats-Service-Error-Code"

	codeMalformed = "400" // not a part of any message
	codeUnknown   = "404" // no such transfer, or not any more
	codeTooLarge  = "413"
	codeCorrupt   = "422" // the checksum of the whole is wrong
	codeBusy      = "429"
)

// serviceError turns an error that a service answered into ours.
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

// refusal is a service's error as a message.
func refusal(code, text string) wire.Message {
	return wire.Message{Header: wire.Header{wire.KeyProtocol: wire.Protocol, keyServiceError: text, keyServiceCode: code}}
}
