package mapper_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
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
				t.Errorf("the log says that the mapper asks for work: %t, want %t", got, online)
			}
		}
	})
}

// Work of an older epoch is not touched: a newer fetcher has replaced its.
func TestOldEpoch(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, work(0).Encode())
		r, _ = b.save()
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Statuses: []wire.SaveStatus{wire.SaveCommitted}}.Encode())
		r, n := b.next()
		if n.Epoch != 3 {
			t.Errorf("asks with epoch %d, want 3", n.Epoch)
		}
		old := work(1)
		old.Epoch = 2
		reply(t, r, old.Encode())
		if _, n := b.next(); len(n.Held) != 0 {
			t.Errorf("holds %v of an older epoch", n.Held)
		}
		if len(b.saves) != 0 {
			t.Error("mapped a chunk of an older epoch")
		}
	})
}

// The objects of a grant may take longer to travel than the mapper waits for an answer. Its request stays open meanwhile.
func TestSlowLink(t *testing.T) {
	run(t, mapper.Config{Transform: "identity", Workers: 1}, func(t *testing.T, b *bench) {
		b.net.SetHook(func(p bustest.Packet) bustest.Fate {
			if p.Header["Chunkline-Part"] == wire.PartPart {
				return bustest.Fate{Delay: 2 * time.Second}
			}
			return bustest.Fate{}
		})
		r, n := b.next()
		reply(t, r, bigWork(0, 16<<20).Encode()) // more than 30 parts, four at a time
		pass(8 * time.Second)
		if beat := b.last(); !slices.Equal(beat.Asking, []uint64{n.Seq}) || len(b.nexts) > 0 {
			t.Errorf("after 9 s the open requests are %v, want only %d", beat.Asking, n.Seq)
		}
		r, s := b.save()
		if s.Chunk != 0 || len(s.Outputs) < 16<<20 {
			t.Errorf("the result is %d bytes of chunk %d, want all of chunk 0", len(s.Outputs), s.Chunk)
		}
		reply(t, r, statuses(wire.SaveCommitted))
		b.wantHeld()
	})
}
