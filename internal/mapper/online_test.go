package mapper_test

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
	"github.com/chunkline/chunkline/internal/mapper"
)

// TestAsksOnline: a mapper says that it asks for work once it is connected.
func TestAsksOnline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := bustest.NewMemory(bustest.Options{}).Connect("mapper")
		defer conn.Close()
		conn.Disconnect()
		var log bytes.Buffer
		m, err := mapper.New(mapper.Config{Transform: "users", Workers: 1}, bus.New(conn, job), zerolog.New(zerolog.SyncWriter(&log)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		defer func() { stop(); <-ended }()
		for _, online := range []bool{false, true} {
			if online {
				conn.Reconnect()
			}
			<-time.After(time.Minute)
			synctest.Wait()
			if got := strings.Contains(log.String(), "mapper asks for work"); got != online {
				t.Errorf("the log says that it asks for work: %t, want %t", got, online)
			}
		}
	})
}
