//go:build bench

package corenats

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
)

// Ready is the line that a role prints on stderr when it listens. Anything published
// earlier is lost.
const Ready = "bench role listens"

// Run connects, runs a role and returns its error. A message that NATS dropped is
// an error too: the run is void.
func Run(ctx context.Context, url string, role func(context.Context, *nats.Conn) error) error {
	problems := make(chan error, 1)
	nc, err := nats.Connect(url, nats.NoReconnect(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case problems <- err:
		default:
		}
	}))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", url, err)
	}
	defer nc.Close()
	err = role(ctx, nc)
	select {
	case problem := <-problems:
		return errors.Join(err, problem)
	default:
		return err
	}
}

// Announce prints Ready once the server knows the subscriptions.
func Announce(nc *nats.Conn) error {
	if err := nc.Flush(); err != nil {
		return fmt.Errorf("flush subscriptions: %w", err)
	}
	fmt.Fprintln(os.Stderr, Ready)
	return nil
}
