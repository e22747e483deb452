package saver_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/test/sim"
)

// TestServesOnline: a saver logs that it serves once it is connected. If it is stopped
// earlier, it ends without that line.
func TestServesOnline(t *testing.T) {
	t.Parallel()
	for name, connects := range map[string]bool{"connects": true, "never connects": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn := bustest.NewMemory(bustest.Options{}).Connect("saver")
				defer conn.Close()
				conn.Disconnect()
				var log bytes.Buffer
				s := saver.New(bus.New(conn, job), sim.NewSink(), zerolog.New(zerolog.SyncWriter(&log)))
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				says := func(want bool) {
					t.Helper()
					<-time.After(time.Minute)
					synctest.Wait()
					if got := strings.Contains(log.String(), "saver serves"); got != want {
						t.Errorf("the log says that it serves: %t, want %t", got, want)
					}
				}
				says(false)
				if connects {
					conn.Reconnect()
				}
				says(connects)
				stop()
				if err := <-ended; err != nil {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}
