package bus

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/wire"
)

// silent is a dialer whose name server, or whose host, never answers.
func silent(t *testing.T, host bool) *dialer {
	hang := func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the dialer has no timeout")
		}
		<-ctx.Done()
		return ctx.Err()
	}
	return &dialer{
		timeout: dialTimeout,
		lookup: func(ctx context.Context, _ string) ([]string, error) {
			if host {
				return []string{"192.0.2.1", "192.0.2.2"}, nil
			}
			return nil, hang(ctx)
		},
		dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, hang(ctx) },
	}
}

// TestConnect_silentNetwork: a name server or a host that does not answer delays neither
// the start of a role nor its end.
func TestConnect_silentNetwork(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]bool{"name server": false, "host": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				begin := time.Now()
				b, err := Connect(Config{URL: "nats://nats:4222"}, Options{
					Job: "job", Role: RoleSaver, Log: zerolog.New(&log), dial: silent(t, host),
				})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took > connectPatience {
					t.Errorf("connecting took %s", took)
				}
				for range 2 { // while it tries for the first time, and later
					begin = time.Now()
					stop, err := b.Serve(Service{Name: "saver", Endpoints: []Endpoint{{Verb: wire.VerbSave, Handle: func(*Request) {}}}})
					if err != nil {
						t.Fatal(err)
					}
					if err := stop(t.Context()); err != nil {
						t.Error(err)
					}
					if _, err := b.Request(t.Context(), wire.VerbSync, wire.Message{}); !errors.Is(err, ErrOffline) {
						t.Errorf("request: error %v, want %v", err, ErrOffline)
					}
					if took := time.Since(begin); took > 0 {
						t.Errorf("serving took %s", took)
					}
					<-time.After(lookupTimeout + dialTimeout)
				}
				synctest.Wait()
				if n := strings.Count(log.String(), "no connection to NATS"); n != 1 {
					t.Errorf("%d log lines say that there is no connection to NATS, want 1: %s", n, log.String())
				}
				begin = time.Now()
				b.Close()
				if took := time.Since(begin); took > 0 {
					t.Errorf("closing took %s", took)
				}
			})
		})
	}
}

// TestDialer_addresses: one address of a name that does not answer leaves time
// for the others.
func TestDialer_addresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := silent(t, true)
		d.ctx = t.Context()
		good, far := net.Pipe()
		defer func() { _, _ = good.Close(), far.Close() }()
		hang := d.dial
		d.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "192.0.2.2:4222" {
				return good, nil
			}
			return hang(ctx, network, address)
		}
		for range 20 { // in whatever order
			conn, err := d.Dial("tcp", "nats:4222")
			if err != nil || conn != good {
				t.Fatalf("dial: %v, %v", conn, err)
			}
		}
	})
}
