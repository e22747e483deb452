package bus_test

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/bus/natsserver"
	"github.com/chunkline/chunkline/test/loopback"
)

func TestSuite_memory(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(*testing.T) bustest.Network {
		n := bustest.NewMemory(bustest.Options{})
		return bustest.Network{
			Connect: func(role bus.Role) bus.Transport { return n.Connect(string(role)) },
			Away:    n.Away, Back: n.Back,
		}
	})
}

func TestSuite_nats(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(t *testing.T) bustest.Network {
		n := newNetwork(t)
		return bustest.Network{
			Connect: func(role bus.Role) bus.Transport {
				c, err := bus.ConnectTransport(bus.Config{URL: n.url}, n.options(role))
				if err != nil {
					t.Fatal(err)
				}
				return c
			},
			Away: n.away, Back: n.back,
		}
	})
}

// network is a real server that can be stopped and restarted.
type network struct {
	t      *testing.T
	url    string
	server *natsserver.Server
}

func newNetwork(t *testing.T) *network {
	n := &network{t: t}
	n.start(loopback.Address()) // it may come back there
	t.Cleanup(func() { n.server.Shutdown() })
	return n
}

func (n *network) start(address string) {
	n.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var err error
	for range 100 { // another process may have got its port meanwhile
		if n.server, err = natsserver.Start(natsserver.Options{Listen: address, Log: zerolog.Nop()}); err == nil {
			n.url = n.server.URL()
			return
		}
		<-tick.C
	}
	n.t.Fatal(err)
}

func (n *network) away() { n.server.Shutdown() }
func (n *network) back() { n.start(n.url[len("nats://"):]) }

func (n *network) options(role bus.Role) bus.Options {
	return bus.Patient(bus.Options{Job: "suite", Role: role, Name: n.t.Name(), Log: zerolog.Nop()})
}

// connect returns a connected bus, which is closed when the test ends.
func (n *network) connect(role bus.Role) *bus.Bus {
	n.t.Helper()
	b, err := bus.Connect(bus.Config{URL: n.url}, n.options(role))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(b.Close)
	if err := b.WaitOnline(patience(n.t)); err != nil {
		n.t.Fatal(err)
	}
	return b
}
