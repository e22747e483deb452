package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	// What may wait in memory for the handler of one subscription; beyond it
	// messages are lost and counted as SlowConsumers. Handlers are quick, so
	// only a stopped process comes near. NATS's own limit, 64 MiB, is 64
	// results of 1 MiB: a hundred mappers could send that at once.
	pendingMessages   = 64 << 10
	pendingBytes      = 128 << 20
	pendingPartsBytes = 256 << 20

	// defaultMaxPayload is used until a server has said its own.
	defaultMaxPayload = 1 << 20

	// noDeadline bounds a Flush whose context has no end.
	noDeadline = time.Minute
)

// natsTransport is a connection to NATS.
type natsTransport struct {
	nc  *nats.Conn
	log zerolog.Logger

	strange zerolog.Logger // for what others can make happen as often as they like: a flood fills no disk

	link  *link
	inbox *inbox
	out   *writer
	own   spoken

	greet      bool // an open server is worth a word; set before use
	openOnce   sync.Once
	told       chan struct{} // closed once a handler has said how connecting went
	toldOnce   sync.Once
	maxPayload atomic.Int64
	serving    sync.Mutex // one Listen or stop at a time changes the subscriptions
	owned      *gate      // its goroutines, which Close waits for
	once       sync.Once

	in, sent, inBytes, sentBytes          atomic.Uint64
	reconnects, slowConsumers, asyncFails atomic.Uint64
	roundTrip                             atomic.Int64 // nanoseconds
}

func newNATSTransport(log zerolog.Logger, url, inboxPrefix string) *natsTransport {
	t := &natsTransport{log: log, own: spoken{verbs: map[string]struct{}{}}, strange: log.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Minute}), link: newLink(log, url), inbox: newInbox(inboxPrefix), told: make(chan struct{}), owned: newGate()}
	t.maxPayload.Store(defaultMaxPayload)
	t.out = newWriter(func(m *nats.Msg) error { return t.nc.PublishMsg(m) })
	return t
}

// begin takes the connection into use. When it is there already, the handler
// that says so has been called or will be.
func (t *natsTransport) begin(nc *nats.Conn) {
	t.nc = nc
	sub, err := nc.Subscribe(t.inbox.prefix+"*", t.answered)
	if err == nil {
		err = sub.SetPendingLimits(pendingMessages, pendingPartsBytes)
	}
	if err != nil && t.link.reason() == nil { // it was closed meanwhile
		t.log.Debug().Err(err).Msg("subscribe to answers")
	}
	if nc.Status() == nats.CONNECTED {
		<-t.told
	}
	t.owned.run(t.measure)
}

func (t *natsTransport) tell() { t.toldOnce.Do(func() { close(t.told) }) }

// Request implements Transport.
func (t *natsTransport) Request(ctx context.Context, subject string, m Message) (Message, error) {
	if err := t.link.usable(); err != nil {
		return Message{}, err
	}
	reply, answers := t.inbox.open()
	defer t.inbox.take(reply)
	if err := t.send(ctx, subject, reply, m); err != nil {
		return Message{}, err
	}
	select {
	case a := <-answers:
		return a.message, a.err
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

// Publish implements Transport.
func (t *natsTransport) Publish(subject string, m Message) error {
	if err := t.link.usable(); err != nil {
		return err
	}
	return t.push(subject, m)
}

// push sends without an answer. A server that takes no bytes is away.
func (t *natsTransport) push(subject string, m Message) error {
	ctx, cancel := context.WithTimeout(context.Background(), flusherTimeout)
	defer cancel()
	err := t.send(ctx, subject, "", m)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: the server takes no data", ErrOffline)
	}
	return err
}

func (t *natsTransport) send(ctx context.Context, subject, reply string, m Message) error {
	if !strings.HasPrefix(subject, inboxRoot) { // an answer goes where the requester wants it
		t.own.note(verbOf(subject))
	}
	header := make(nats.Header, len(m.Header))
	values := make([]string, 0, len(m.Header)) // one allocation for all
	for key, value := range m.Header {
		values = append(values, value)
		header[key] = values[len(values)-1 : len(values) : len(values)]
	}
	err := t.out.send(ctx, &nats.Msg{Subject: subject, Reply: reply, Header: header, Data: m.Body})
	if err != nil {
		return err
	}
	t.sent.Add(1)
	t.sentBytes.Add(uint64(len(m.Body)))
	return nil
}

// answered takes an answer from the inbox's subscription.
func (t *natsTransport) answered(m *nats.Msg) {
	t.count(m)
	a := answer{message: received(m)}
	if a.message.Header["Status"] == "503" && len(m.Data) == 0 {
		a = answer{err: ErrNobody}
	}
	t.inbox.deliver(m.Subject, a)
}

func (t *natsTransport) count(m *nats.Msg) {
	t.in.Add(1)
	t.inBytes.Add(uint64(len(m.Data)))
}

// received is a message as it came. Of a header that is there twice the first
// counts.
func received(m *nats.Msg) Message {
	header := make(Header, len(m.Header))
	for key, values := range m.Header {
		if len(values) > 0 {
			header[key] = values[0]
		}
	}
	return Message{Header: header, Body: m.Data}
}

// Flush implements Transport.
func (t *natsTransport) Flush(ctx context.Context) error {
	lost := t.link.lost()
	if err := t.link.usable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, noDeadline)
	defer cancel() // not before the result is read: an ended context would hide it
	result := make(chan error, 1)
	if !t.owned.run(func() { // it may wait for the connection's lock longer than ctx allows
		result <- t.nc.FlushWithContext(ctx)
	}) {
		return t.link.reason()
	}
	select {
	case err := <-result:
		if ctxErr := ctx.Err(); err != nil && ctxErr != nil {
			return ctxErr
		}
		if err != nil && t.link.reason() == nil {
			return fmt.Errorf("%w: %w", ErrOffline, err)
		}
		return sendError(err)
	case <-lost: // nats.go would go on waiting, for an answer that is lost
		if err := t.link.reason(); err != nil {
			return err
		}
		return ErrOffline
	case <-ctx.Done():
		return ctx.Err()
	}
}

// MaxPayload implements Transport.
func (t *natsTransport) MaxPayload() int { return int(t.maxPayload.Load()) }

// Online implements Transport.
func (t *natsTransport) Online() bool { return t.link.live.Load() }

// WaitOnline implements Transport.
func (t *natsTransport) WaitOnline(ctx context.Context) error { return t.link.wait(ctx) }

// Closed implements Transport.
func (t *natsTransport) Closed() <-chan struct{} { return t.link.closed }

// Err implements Transport.
func (t *natsTransport) Err() error { return t.link.reason() }

// Stats implements Transport.
func (t *natsTransport) Stats() Stats {
	return Stats{
		In: t.in.Load(), Out: t.sent.Load(), InBytes: t.inBytes.Load(), OutBytes: t.sentBytes.Load(),
		Reconnects: t.reconnects.Load(), SlowConsumers: t.slowConsumers.Load(), AsyncErrors: t.asyncFails.Load(),
		RoundTrip: time.Duration(t.roundTrip.Load()),
	}
}

// Close implements Transport. While the server is frozen it takes up to two
// flusher timeouts.
func (t *natsTransport) Close() {
	t.once.Do(func() {
		t.link.shut(ErrClosed)
		t.inbox.fail(ErrClosed)
		t.nc.Close()
		t.out.stop()
		_ = t.owned.close(context.Background())
	})
}

// connected is called when the first connection is made.
func (t *natsTransport) connected(nc *nats.Conn) {
	if limit := nc.MaxPayload(); limit > 0 {
		t.maxPayload.Store(limit)
	}
	if t.greet && !nc.AuthRequired() {
		t.openOnce.Do(func() { t.sayOpen(nc.ConnectedAddr()) })
	}
	t.link.up()
	t.tell()
}

func (t *natsTransport) reconnected(nc *nats.Conn) {
	t.reconnects.Add(1)
	t.connected(nc)
}

// disconnected is called when the connection breaks, and each time that making
// it fails. Answers that were awaited will not come: the subscription was gone.
func (t *natsTransport) disconnected(_ *nats.Conn, err error) {
	t.link.down(err)
	t.inbox.fail(ErrOffline)
	t.tell()
}

// closed is called when nats.go has given up, or was told to.
func (t *natsTransport) closed(nc *nats.Conn) {
	err := nc.LastError()
	if why := denied(err); why != nil {
		err = why
	}
	if err == nil {
		err = errors.New("no reason was given")
	}
	t.link.shut(fmt.Errorf("%w: %w", ErrClosed, err))
	t.inbox.fail(t.link.reason())
	t.tell()
}

// asyncError is called for what no call has returned.
func (t *natsTransport) asyncError(nc *nats.Conn, sub *nats.Subscription, err error) {
	t.asyncFails.Add(1)
	switch {
	case errors.Is(err, nats.ErrSlowConsumer) && sub != nil:
		t.slowConsumers.Add(1)
		t.strange.Warn().Str("subject", sub.Subject).Msg("too slow: messages were lost")
	case errors.Is(err, nats.ErrPermissionViolation) && t.minor(err):
		t.strange.Warn().Err(err).Msg("not allowed by the NATS server")
	case errors.Is(err, nats.ErrPermissionViolation):
		t.link.shut(fmt.Errorf("%w: %w", ErrClosed, denied(err)))
		t.inbox.fail(t.link.reason())
		nc.Close()
	default:
		t.log.Debug().Err(err).Msg("error on the NATS connection")
	}
}
