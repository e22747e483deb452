package bus

import "errors"

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
