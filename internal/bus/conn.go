package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/wire"
)

const (
	// How many messages and bytes may wait in memory for the handler of one subscription. Beyond that, messages are
	// lost and counted as SlowConsumers. Handlers are quick, so this happens only while the process is stopped. NATS's
	// default of 64 MiB is too little: a hundred mappers can send results of 1 MiB each at once.
	pendingMessages   = 64 << 10
	pendingBytes      = 128 << 20
	pendingPartsBytes = 256 << 20

	// defaultMaxPayload is NATS's default. It applies until the server has sent its own limit.
	defaultMaxPayload = 1 << 20

	// noDeadline bounds a Flush whose context has no deadline.
	noDeadline = time.Minute
)

// natsTransport is the Transport of NATS.
type natsTransport struct {
	nc  atomic.Pointer[nats.Conn] // the latest; nil: none so far
	log zerolog.Logger

	sampled zerolog.Logger // for events that any client can cause, so that a flood of them does not fill the disk

	link  *link
	inbox *inbox
	out   *writer
	waits waits // set before use
	own   publishedVerbs

	checksOpen   bool // log if the server asks for no credentials; set before use
	openOnce     sync.Once
	reported     chan struct{} // closed once a handler has reported the first attempt to connect
	reportedOnce sync.Once
	maxPayload   atomic.Int64
	wasUp        atomic.Bool
	broken       chan struct{} // holds one token: nats.go has closed the latest connection
	dials        *dialer
	endDial      context.CancelFunc // cancels attempts to connect
	serving      sync.Mutex         // held by whatever changes the subscriptions: Listen, stop, a new connection
	answering    *nats.Conn         // guarded by serving; the connection that has the subscription to answers
	listening    map[*listening]struct{}
	owned        *gate // the goroutines of the transport, which Close waits for
	once         sync.Once

	in, sent, inBytes, sentBytes          atomic.Uint64
	reconnects, slowConsumers, asyncFails atomic.Uint64
	roundTrip                             atomic.Int64 // nanoseconds
}

func newNATSTransport(log zerolog.Logger, url, inboxPrefix string) *natsTransport {
	t := &natsTransport{log: log, waits: usualWaits, own: publishedVerbs{verbs: map[string]struct{}{}}, sampled: log.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Minute}), link: newLink(log, url), inbox: newInbox(inboxPrefix), reported: make(chan struct{}), owned: newGate()}
	t.maxPayload.Store(defaultMaxPayload)
	t.broken, t.listening = make(chan struct{}, 1), map[*listening]struct{}{}
	t.out = newWriter(t.write)
	return t
}

// write publishes m. It may block while nats.go holds the connection's lock.
func (t *natsTransport) write(m *nats.Msg) error {
	nc := t.nc.Load()
	if nc == nil {
		return ErrOffline
	}
	err := nc.PublishMsg(m)
	if errors.Is(err, nats.ErrConnectionClosed) && t.link.reason() == nil {
		return fmt.Errorf("%w: %w", ErrOffline, err) // keep makes another connection
	}
	return err
}

func (t *natsTransport) Request(ctx context.Context, subject string, m wire.Message) (wire.Message, error) {
	if err := t.link.usable(); err != nil {
		return wire.Message{}, err
	}
	reply, answers := t.inbox.open()
	defer t.inbox.remove(reply)
	if err := t.send(ctx, subject, reply, m); err != nil {
		return wire.Message{}, err
	}
	select {
	case a := <-answers:
		return a.message, a.err
	case <-ctx.Done():
		return wire.Message{}, ctx.Err()
	}
}

func (t *natsTransport) Publish(subject string, m wire.Message) error {
	if err := t.link.usable(); err != nil {
		return err
	}
	return t.push(subject, m)
}

// push sends m without waiting for an answer. A server that reads nothing for the flusher timeout counts as
// disconnected.
func (t *natsTransport) push(subject string, m wire.Message) error {
	ctx, cancel := context.WithTimeout(context.Background(), t.waits.publish)
	defer cancel()
	err := t.send(ctx, subject, "", m)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: the server reads no data", ErrOffline)
	}
	return err
}

func (t *natsTransport) send(ctx context.Context, subject, reply string, m wire.Message) error {
	if !strings.HasPrefix(subject, inboxRoot) { // an answer goes to the subject that the requester chose
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

// answered handles a message at the inbox's subscription.
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

// received converts a message of nats.go. If a header occurs twice, the first one counts.
func received(m *nats.Msg) wire.Message {
	header := make(wire.Header, len(m.Header))
	for key, values := range m.Header {
		if len(values) > 0 {
			header[key] = values[0]
		}
	}
	return wire.Message{Header: header, Body: m.Data}
}

func (t *natsTransport) Flush(ctx context.Context) error {
	lost := t.link.lost()
	if err := t.link.usable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, noDeadline)
	defer cancel() // not before the result is read: the error of a canceled context would hide it
	result := make(chan error, 1)
	if !t.owned.run(func() { // in a goroutine: it may wait for the connection's lock longer than ctx allows
		result <- t.flush(ctx)
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
	case <-lost: // nats.go would keep waiting for an answer that is lost
		if err := t.link.reason(); err != nil {
			return err
		}
		return ErrOffline
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *natsTransport) flush(ctx context.Context) error {
	nc := t.nc.Load()
	if nc == nil {
		return ErrOffline
	}
	return nc.FlushWithContext(ctx)
}

func (t *natsTransport) MaxPayload() int                      { return int(t.maxPayload.Load()) }
func (t *natsTransport) Online() bool                         { return t.link.live.Load() }
func (t *natsTransport) WaitOnline(ctx context.Context) error { return t.link.wait(ctx) }
func (t *natsTransport) Lost() <-chan struct{}                { return t.link.lost() }
func (t *natsTransport) Closed() <-chan struct{}              { return t.link.closed }
func (t *natsTransport) Err() error                           { return t.link.reason() }

func (t *natsTransport) Stats() Stats {
	return Stats{
		In: t.in.Load(), Out: t.sent.Load(), InBytes: t.inBytes.Load(), OutBytes: t.sentBytes.Load(),
		Reconnects: t.reconnects.Load(), SlowConsumers: t.slowConsumers.Load(), AsyncErrors: t.asyncFails.Load(),
		RoundTrip: time.Duration(t.roundTrip.Load()),
	}
}

// Close implements Transport. If the server reads nothing, Close takes up to two flusher timeouts.
func (t *natsTransport) Close() {
	t.once.Do(func() {
		t.link.shut(ErrClosed)
		t.inbox.fail(ErrClosed)
		t.endDial() // an attempt to connect holds the lock that closing needs
		if nc := t.nc.Load(); nc != nil {
			nc.Close()
		}
		t.out.stop()
		_ = t.owned.close(context.Background())
	})
}

// asyncError is called for errors that no call has returned.
func (t *natsTransport) asyncError(nc *nats.Conn, sub *nats.Subscription, err error) {
	t.asyncFails.Add(1)
	switch {
	case errors.Is(err, nats.ErrSlowConsumer) && sub != nil:
		t.slowConsumers.Add(1)
		t.sampled.Warn().Str("subject", sub.Subject).Msg("too slow: messages were lost")
	case errors.Is(err, nats.ErrPermissionViolation) && t.optional(err):
		t.sampled.Warn().Err(err).Msg("not allowed by the NATS server")
	case errors.Is(err, nats.ErrPermissionViolation):
		t.closeForGood(denied(err))
		nc.Close()
	default:
		t.log.Debug().Err(err).Msg("error on the NATS connection")
	}
}

// An inbox passes answers to the requests that wait for them. All answers of a connection arrive at one wildcard
// subscription. The subscription is ours, not nats.go's, so that requests end when the connection breaks, and sending a
// request does not wait for the connection's lock.
type inbox struct {
	prefix string // of the reply subjects, with its last dot

	mu      sync.Mutex
	waiting map[string]chan answer // guarded by mu; by last token of the reply subject
}

type answer struct {
	message wire.Message
	err     error
}

func newInbox(prefix string) *inbox {
	return &inbox{prefix: prefix + ".", waiting: map[string]chan answer{}}
}

// open returns a new reply subject, and the channel of its answer.
func (i *inbox) open() (subject string, answers chan answer) {
	answers = make(chan answer, 1)
	token := strconv.FormatUint(rand.Uint64(), 36) // nobody can guess it, and it is never reused
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting[token] = answers
	return i.prefix + token, answers
}

// remove removes the request with this reply subject and returns its channel, or nil if the request has already ended.
func (i *inbox) remove(subject string) chan answer {
	token := strings.TrimPrefix(subject, i.prefix)
	i.mu.Lock()
	defer i.mu.Unlock()
	answers := i.waiting[token]
	delete(i.waiting, token)
	return answers
}

// deliver passes an answer to its request. Further answers are dropped.
func (i *inbox) deliver(subject string, a answer) {
	if answers := i.remove(subject); answers != nil {
		answers <- a
	}
}

// fail ends all requests with err.
func (i *inbox) fail(err error) {
	i.mu.Lock()
	waiting := i.waiting
	i.waiting = map[string]chan answer{}
	i.mu.Unlock()
	for _, answers := range waiting {
		answers <- answer{err: err}
	}
}

// A writer owns the only goroutine that writes to the connection. nats.go holds the connection's lock while it writes.
// If the server reads nothing, callers that write directly wait for the flusher timeout one after the other. A caller
// of the writer waits no longer than its context allows. Messages keep their order.
type writer struct {
	publish func(*nats.Msg) error
	queue   chan *outMessage
	quit    chan struct{}
	done    chan struct{}
}

type outMessage struct {
	msg       *nats.Msg
	result    chan error  // holds one
	abandoned atomic.Bool // the caller no longer waits
}

func newWriter(publish func(*nats.Msg) error) *writer {
	w := &writer{publish: publish, queue: make(chan *outMessage), quit: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *writer) run() {
	defer close(w.done)
	for {
		select {
		case out := <-w.queue:
			if !out.abandoned.Load() {
				out.result <- w.publish(out.msg)
			}
		case <-w.quit:
			return
		}
	}
}

// send returns once msg is written or ctx has ended. If ctx has ended, it is unknown whether msg was or will be
// written.
func (w *writer) send(ctx context.Context, msg *nats.Msg) error {
	out := &outMessage{msg: msg, result: make(chan error, 1)}
	select {
	case w.queue <- out:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return ErrClosed
	}
	select {
	case err := <-out.result:
		return sendError(err)
	case <-ctx.Done():
		out.abandoned.Store(true)
		return ctx.Err()
	}
}

// stop ends the writer and waits for it, for at most one flusher timeout.
func (w *writer) stop() {
	close(w.quit)
	<-w.done
}

// sendError turns an error of nats.go into one of ours.
func sendError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	case errors.Is(err, nats.ErrReconnectBufExceeded): // the buffer is disabled
		return ErrOffline
	default:
		return fmt.Errorf("%w: %w", ErrOffline, err)
	}
}
