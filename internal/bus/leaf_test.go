package bus_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	neturl "net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/loopback"
)

// TestLeafNode_maxPayload: a hub and a leaf node that take messages of
// different sizes carry requests and answers either way.
func TestLeafNode_maxPayload(t *testing.T) {
	t.Parallel()
	const small, usual, big = 64 << 10, 1 << 20, 4 << 20
	for name, limits := range map[string][2]int32{
		"small leaf": {usual, small}, "small hub": {small, usual}, "big hub": {big, usual}, "big leaf": {usual, big},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, leaf := leafNode(t, limits[0], limits[1])
			for name, urls := range map[string][2]string{"up": {leaf, hub.ClientURL()}, "down": {hub.ClientURL(), leaf}} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					connect := func(url string, role bus.Role, log zerolog.Logger) *bus.Bus {
						b, err := bus.Connect(bus.Config{URL: url}, bus.Patient(bus.Options{Job: name, Role: role, Log: log}))
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(b.Close)
						return b
					}
					var log logBuffer
					client := connect(urls[0], bus.RoleMapper, zerolog.New(&log))
					serveEcho(t, connect(urls[1], bus.RoleSaver, zerolog.Nop()))
					for _, size := range []int{100, 60 << 10, 300 << 10, 1000 << 10, 1200 << 10} {
						untilAnswered(t, client, strings.Repeat("x", size))
					}
					from, to := limits[0], limits[1]
					if name == "up" {
						from, to = to, from
					}
					if got, want := strings.Contains(log.String(), "smaller max_payload than ours"), to < from; got != want {
						t.Errorf("the cause is named: %t, want %t: %s", got, want, log.String())
					}
				})
			}
		})
	}
}

// TestLeafNode_firstIsLarge: nothing is known of the other side yet.
func TestLeafNode_firstIsLarge(t *testing.T) {
	t.Parallel()
	hub, leaf := leafNode(t, 64<<10, 1<<20)
	connect := func(url string, role bus.Role) *bus.Bus {
		b, err := bus.Connect(bus.Config{URL: url}, bus.Patient(bus.Options{Job: "job", Role: role, Log: zerolog.Nop()}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	client := connect(leaf, bus.RoleMapper)
	serveEcho(t, connect(hub.ClientURL(), bus.RoleSaver))
	untilAnswered(t, client, strings.Repeat("x", 300<<10))
}

// TestLeafNode_middle: the hub between two leaf nodes takes less than both. It
// hangs up on the leaf node that sends it more, whether that is a request or an
// answer. The requester finds out what passes, names the cause once, and goes on.
// Two requests are lost, and four probes, which takes 5 s.
func TestLeafNode_middle(t *testing.T) {
	t.Parallel()
	const hubLimit = 256 << 10
	for name, c := range map[string]struct{ request, answer int }{"request": {900 << 10, 100}, "answer": {100, 900 << 10}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, near := leafNode(t, hubLimit, 1<<20)
			far := leafOf(t, hub, 1<<20)
			connect := func(url string, role bus.Role, log zerolog.Logger) *bus.Bus {
				b, err := bus.Connect(bus.Config{URL: url}, bus.Patient(bus.Options{Job: "job", Role: role, Log: log}))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(b.Close)
				return b
			}
			var log logBuffer
			client, server := connect(near, bus.RoleMapper, zerolog.New(&log)), connect(far, bus.RoleSaver, zerolog.Nop())
			stop, err := server.Serve(bus.Service{Name: "saver", Version: "dev", Endpoints: []bus.Endpoint{
				{Verb: wire.VerbSave, Queue: "saver", Handle: func(r *bus.Request) {
					_ = r.Reply(wire.Message{Body: bytes.Repeat(r.Body[:1], c.answer)})
				}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = stop(context.Background()) })
			ctx := patience(t)
			for range 3 {
				patience := time.Second
				for lost := true; lost; {
					try, cancel := context.WithTimeout(ctx, patience)
					answer, err := client.Request(try, wire.VerbSave, wire.Message{Body: bytes.Repeat([]byte("x"), c.request)})
					cancel()
					if errors.Is(err, context.DeadlineExceeded) { // else it is not known yet who serves
						patience *= 2
					}
					if err == nil && !bytes.Equal(answer.Body, bytes.Repeat([]byte("x"), c.answer)) {
						t.Fatalf("answer of %d bytes, want %d", len(answer.Body), c.answer)
					}
					if lost = err != nil; ctx.Err() != nil {
						t.Fatalf("no answer: %v; log: %s", err, log.String())
					}
				}
			}
			if text := log.String(); strings.Count(text, "a NATS server on the way has a smaller max_payload") != 1 {
				t.Errorf("the cause is not named exactly once: %s", text)
			}
		})
	}
}

// leafNode starts a hub and a leaf node of it, which take messages of such sizes.
func leafNode(t *testing.T, hubLimit, leafLimit int32) (hub hub, leaf string) {
	t.Helper()
	o := leafOptions(hubLimit)
	hub.leaves = loopback.Address()
	host, port, err := net.SplitHostPort(hub.leaves)
	if err != nil {
		t.Fatal(err)
	}
	o.LeafNode.Host = host
	if o.LeafNode.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	hub.Server = startServer(t, o)
	return hub, leafOf(t, hub, leafLimit)
}

// hub is a server, and the address at which leaf nodes join it.
type hub struct {
	*server.Server
	leaves string
}

func leafOptions(limit int32) *server.Options {
	return &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: limit}
}

// leafOf starts one more leaf node of a hub.
func leafOf(t *testing.T, hub hub, limit int32) (url string) {
	t.Helper()
	o := leafOptions(limit)
	o.LeafNode.ReconnectInterval = 50 * time.Millisecond
	o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*neturl.URL{{Scheme: "nats-leaf", Host: hub.leaves}}}}
	before := hub.NumLeafNodes()
	leaf := startServer(t, o)
	ctx := patience(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for leaf.NumLeafNodes() == 0 || hub.NumLeafNodes() == before {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the leaf node does not join")
		}
	}
	return leaf.ClientURL()
}
