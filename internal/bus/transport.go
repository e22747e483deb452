package bus

import (
	"context"
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
)

// A Transport moves single messages of up to MaxPayload bytes. NATS is one,
// bustest's memory another; both pass bustest.Run.
//
// No method but Listen's stop waits for handlers. Errors are, or wrap, those
// of errors.go and of contexts.
type Transport interface {
	// Request sends m to subject and returns the first answer, whatever it
	// says. ErrNobody: no subscriber. It returns by ctx's deadline, and early
	// with ErrOffline when the connection breaks.
	Request(ctx context.Context, subject string, m wire.Message) (wire.Message, error)

	// Publish sends m to whoever listens. Messages of one publisher reach one
	// subscription in the order they were sent.
	Publish(subject string, m wire.Message) error

	// Flush returns when everything published before has reached the server.
	Flush(ctx context.Context) error

	// Listen subscribes to all topics of l. Stop unsubscribes, and waits until
	// what had arrived is handled or ctx ends. It may be called again.
	Listen(l Listener) (stop func(ctx context.Context), err error)

	// MaxPayload is the most that a message's Size may be.
	MaxPayload() int

	// Online says whether the connection is up.
	Online() bool
	// WaitOnline returns once it is: nil, ErrClosed or ctx's error.
	WaitOnline(ctx context.Context) error

	// Closed is closed when the connection is closed for good; Err then says why.
	Closed() <-chan struct{}
	Err() error

	Stats() Stats
	// Close closes the connection and waits for its goroutines.
	Close()
}

// A Listener is a set of subscriptions that begin and end together. Unless it
// is Hidden it can be found by its name (`nats micro ls`).
type Listener struct {
	Name, Version, Description string
	Hidden                     bool
	Topics                     []Topic
}

// A Topic is one subscription. Handle is called for one message at a time, in
// the order of arrival. Of the subscribers with the same Queue one gets a
// message; every subscriber without a Queue gets it.
type Topic struct {
	Name    string // letters, digits, '_', '-'
	Subject string
	Queue   string
	Handle  func(Delivery)
}

// A Delivery is a message as it arrived.
type Delivery struct {
	Subject string
	wire.Message
	Reply func(wire.Message) error // nil: nobody waits for an answer
}

// Stats counts what a connection went through.
type Stats struct {
	In, Out       uint64 // messages
	InBytes       uint64 // of bodies
	OutBytes      uint64
	Reconnects    uint64
	SlowConsumers uint64 // times a subscription was too slow and lost messages
	AsyncErrors   uint64 // errors that no call returned, slow consumers included

	RoundTrip time.Duration // to the server and back, as last measured; 0: not yet
}

// What a caller can tell apart. All of them come wrapped, with what was tried.
var (
	// ErrNobody: nobody serves the subject (503). The message reached nobody.
	ErrNobody = errors.New("nobody is there")
	// ErrOffline: not connected, or the connection broke while the answer was
	// awaited; in the latter case it is unknown what became of the request.
	ErrOffline = errors.New("nats is away")
	// ErrClosed: the connection is closed for good.
	ErrClosed = errors.New("connection is closed")
	// ErrDenied: the server does not let this role in, or not do what it must.
	ErrDenied = errors.New("denied by the nats server")
	// ErrTooLarge: sending it again cannot help.
	ErrTooLarge = errors.New("message is too large")
	// ErrBusy: the receiver has no memory for a message in parts now. Later it may.
	ErrBusy = errors.New("busy with other large messages")
	// ErrService: the service answered with an error instead of an answer.
	ErrService = errors.New("service answered with an error")
	// ErrReplied: this request was answered before.
	ErrReplied = errors.New("request was answered already")

	// ErrSettings: a wrong setting. The text names the variable.
	ErrSettings = errors.New("wrong setting")
)
