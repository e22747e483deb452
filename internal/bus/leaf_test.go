package bus_test

import (
	"context"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
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
			for name, urls := range map[string][2]string{"up": {leaf, hub}, "down": {hub, leaf}} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					connect := func(url string, role bus.Role, log zerolog.Logger) *bus.Bus {
						b, err := bus.Connect(bus.Config{URL: url}, bus.Options{Job: name, Role: role, Log: log})
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(b.Close)
						return b
					}
					var log logBuffer
					client := connect(urls[0], bus.RoleMapper, zerolog.New(&log))
					serveEcho(t, connect(urls[1], bus.RoleSaver, zerolog.Nop()))
					for _, size := range []int{100, 60 << 10, 300 << 10, 1000 << 10, 3 << 20} {
						untilAnswered(t, client, strings.Repeat("x", size))
					}
					from, to := limits[0], limits[1]
					if name == "up" {
						from, to = to, from
					}
					if got, want := strings.Contains(log.String(), "takes smaller messages than ours"), to < from; got != want {
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
		b, err := bus.Connect(bus.Config{URL: url}, bus.Options{Job: "job", Role: role, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	client := connect(leaf, bus.RoleMapper)
	serveEcho(t, connect(hub, bus.RoleSaver))
	untilAnswered(t, client, strings.Repeat("x", 300<<10))
}

// leafNode starts a hub and a leaf node of it, which take messages of such sizes.
func leafNode(t *testing.T, hubLimit, leafLimit int32) (hub, leaf string) {
	t.Helper()
	options := func(limit int32) *server.Options {
		return &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: limit}
	}
	o := options(hubLimit)
	address := loopback.Address()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	o.LeafNode.Host = host
	if o.LeafNode.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	h := startServer(t, o)
	o = options(leafLimit)
	o.LeafNode.ReconnectInterval = 50 * time.Millisecond
	remote := &url.URL{Scheme: "nats-leaf", Host: address}
	o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{remote}}}
	l := startServer(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for l.NumLeafNodes() == 0 || h.NumLeafNodes() == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the leaf node does not join")
		}
	}
	return h.ClientURL(), l.ClientURL()
}
