package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	dialTimeout   = 2 * time.Second
	lookupTimeout = 5 * time.Second // nats.go itself waits for as long as the resolver tries, which can be 40 s
)

// A dialer connects for nats.go, which holds a lock meanwhile. All it does ends
// by time, and with ctx.
type dialer struct {
	ctx    context.Context //nolint:containedctx // nats.go hands none on
	lookup func(ctx context.Context, host string) ([]string, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	failed atomic.Pointer[error] // why the last attempt failed; nil: it did not
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.connect(network, address)
	if err != nil {
		d.failed.Store(&err)
		return nil, err
	}
	d.failed.Store(nil)
	return conn, nil
}

// explain is err with what nats.go keeps to itself: it says that there are no
// servers where each refused to be connected to.
func (d *dialer) explain(err error) error {
	if why := d.failed.Load(); why != nil && errors.Is(err, nats.ErrNoServers) {
		return fmt.Errorf("%w: is a NATS server running there?", *why)
	}
	return err
}

// connect tries all addresses of a name, in random order, so that clients spread
// over servers.
func (d *dialer) connect(network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	hosts := []string{host}
	if net.ParseIP(host) == nil {
		ctx, cancel := context.WithTimeout(d.ctx, lookupTimeout)
		defer cancel()
		if hosts, err = d.lookup(ctx, host); err != nil {
			return nil, fmt.Errorf("look up %s: %w", host, err)
		}
		rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	}
	for _, host := range hosts {
		var conn net.Conn
		if conn, err = d.dialOne(network, net.JoinHostPort(host, port), dialTimeout/time.Duration(len(hosts))); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (d *dialer) dialOne(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, timeout)
	defer cancel()
	return d.dial(ctx, network, address)
}
