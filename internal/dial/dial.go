// Package dial connects to databases and object storage. A connection breaks soon after the other side has vanished
// without a word, as a host without power, so that no request waits for it without end.
package dial

import (
	"net"
	"time"
)

// mostSilence bounds how long the other side may be silent that has been sent something.
const mostSilence = 25 * time.Second

// New returns a dialer. A connection must be made within timeout; 0: the caller's context has a limit.
func New(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout: timeout,
		Control: limitSilence,
		// of a connection on which nothing is sent, because an answer is awaited
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
}
