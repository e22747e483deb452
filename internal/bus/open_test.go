package bus_test

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/natsserver"
)

// TestConnect_openServer: a server without credentials is logged once, and only such a
// server.
func TestConnect_openServer(t *testing.T) {
	t.Parallel()
	warnings := func(cfg bus.Config, reconnect func()) int {
		var log logBuffer
		b, err := bus.Connect(cfg, bus.Patient(bus.Options{Job: "job", Role: bus.RoleMapper, Log: zerolog.New(&log)}))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.WaitOnline(patience(t)); err != nil {
			t.Fatal(err)
		}
		if reconnect != nil {
			reconnect()
			ctx := patience(t)
			for b.Stats().Reconnects == 0 && ctx.Err() == nil {
				_ = b.Flush(ctx) // notices that the connection is broken
				if err := b.WaitOnline(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		return strings.Count(log.String(), "asks for no credentials")
	}
	n := newNetwork(t)
	if got := warnings(bus.Config{URL: n.url}, func() { n.away(); n.back() }); got != 1 {
		t.Errorf("got %d warnings, want 1", got)
	}
	if got := warnings(bus.Config{URL: guarded(t, nil), User: "u", Password: canary}, nil); got != 0 {
		t.Errorf("got %d warnings about a server that asks for a password, want none", got)
	}
	s, err := natsserver.Start(natsserver.Options{Listen: "127.0.0.1:0", Token: canary, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	if got := warnings(bus.Config{URL: s.URL(), Token: canary}, nil); got != 0 {
		t.Errorf("got %d warnings about a server that asks for a token, want none", got)
	}
}
