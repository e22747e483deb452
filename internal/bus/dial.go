package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
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
}

// Dial implements nats.CustomDialer. Of the addresses of a name it tries all,
// in random order, so that clients spread over servers.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
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
