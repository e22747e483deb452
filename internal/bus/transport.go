package bus

import (
	"context"
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
)

// A Transport moves single messages of up to MaxPayload bytes. There are two: NATS, and the memory of bustest. Both
// pass the suite bustest.Run.
//
// After Request, Publish or a Reply has returned nil, the transport has no reference to the body that it sent, so the
// sender may use the memory again. After an error it may still have one.
//
// Only the stop function of Listen waits for handlers. Errors are or wrap the errors below, those of wire, and those of
// contexts.
type Transport interface {
	// Request sends m to subject and returns the first answer, whatever its content. It returns ErrNobody if there is
	// no subscriber, and ErrOffline if the connection breaks. It returns by ctx's deadline.
	Request(ctx context.Context, subject string, m wire.Message) (wire.Message, error)

	// Publish sends m to all subscribers. Messages of one publisher reach a subscription in the order in which they
	// were sent.
	Publish(subject string, m wire.Message) error

	// Flush returns when everything published before has reached the server.
	Flush(ctx context.Context) error

	// Listen subscribes to all topics of l. Stop unsubscribes, and waits until all messages that have arrived are
	// handled or ctx ends. It may be called again.
	Listen(l Listener) (stop func(ctx context.Context), err error)

	// MaxPayload is the largest Size of a message that the server accepts.
	MaxPayload() int

	// Online reports whether the connection is up.
	Online() bool
	// WaitOnline returns nil once the connection is up, or else ErrClosed or ctx's error.
	WaitOnline(ctx context.Context) error
	// Lost returns a channel that is closed when the current connection breaks, and that is already closed if there is
	// none.
	Lost() <-chan struct{}

	// Closed is closed when the connection is closed for good; Err then says why.
	Closed() <-chan struct{}
	Err() error

	Stats() Stats
	// Close closes the connection and waits for its goroutines.
	Close()
}

// A Listener is a set of subscriptions that begin and end together. `nats micro ls` shows it, unless it is Hidden.
type Listener struct {
	Name, Version, Description string
	Hidden                     bool
	Topics                     []Topic
}

// A Topic is one subscription. Handle is called for one message at a time, in the order of arrival. Among subscribers
// with the same Queue, one gets each message; every subscriber without a Queue gets all messages.
type Topic struct {
	Name    string // letters, digits, '_', '-'
	Subject string
	Queue   string
	Handle  func(Delivery)
}

// A Delivery is a message as it has arrived.
type Delivery struct {
	Subject string
	wire.Message
	Reply func(wire.Message) error // nil: no answer is expected
}

// Stats counts the traffic and the errors of a connection.
type Stats struct {
	In, Out       uint64 // messages
	InBytes       uint64 // of bodies
	OutBytes      uint64
	Reconnects    uint64
	SlowConsumers uint64 // times that a subscription was too slow and lost messages
	AsyncErrors   uint64 // errors that no call has returned, including slow consumers

	RoundTrip time.Duration // to the server and back, as last measured; 0: not yet
}

// Errors that a caller can tell apart. They are wrapped with the operation that failed.
var (
	// ErrNobody means that the subject has no subscriber (status 503), so the message was not delivered.
	ErrNobody = errors.New("no responders")
	// ErrOffline means that there is no connection, or that it broke before the answer came. In the latter case the
	// request may have been carried out.
	ErrOffline = errors.New("not connected to NATS")
	// ErrClosed means that the connection is closed for good.
	ErrClosed = errors.New("connection is closed")
	// ErrDenied means that the server rejects this role's credentials, or denies it a subject that it needs.
	ErrDenied = errors.New("denied by the NATS server")
	// ErrTooLarge means that the message will never fit, so another try cannot succeed.
	ErrTooLarge = errors.New("message is too large")
	// ErrBusy means that the receiver has no memory for another message in parts at the moment.
	ErrBusy = errors.New("busy with other large messages")
	// ErrService means that the service answered with an error.
	ErrService = errors.New("service answered with an error")
	// ErrReplied means that the request was answered before.
	ErrReplied = errors.New("request was already answered")

	// ErrSettings means that a setting is wrong. The text names the variable.
	ErrSettings = errors.New("wrong setting")
)
