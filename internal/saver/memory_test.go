package saver_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/sim"
)

// TestMemory: the saver accepts only as many results as it has memory for, even while the
// disk does not answer. It refuses the others as busy after their first part, and all are
// saved in the end.
func TestMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const memory, size, mappers = 8 << 20, 512 << 10, 100
		b := &bench{t: t, net: bustest.NewMemory(bustest.Options{MaxPayload: 64 << 10}), sink: sim.NewSink()}
		if _, err := b.sink.Claim(t.Context(), plan, "f1"); err != nil {
			t.Fatal(err)
		}
		disk := make(chan struct{})
		b.sink.OnCommit = func([]sink.Result) error { <-disk; return nil }
		own, peer := b.net.Connect("saver"), b.net.Connect("peer")
		defer own.Close()
		defer peer.Close()
		b.peer = bus.New(peer, job)
		b.saver = saver.New(bus.New(own, job), b.sink, zerolog.Nop())
		b.saver.Memory(memory)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.saver.Run(ctx) }()
		defer func() { cancel(); <-done }()
		synctest.Wait()

		// deliver sends a result until it is saved, and reports whether the first answer was busy.
		deliver := func(id chunk.ID, first chan<- bool, saved chan<- chunk.ID) {
			s := result(id)
			s.Outputs = []byte("{\"a\":0}\n\"" + strings.Repeat("x", size) + "\"\n")
			m := sign(s).Encode()
			for try := 0; ; try++ {
				try, stop := context.WithTimeout(context.Background(), time.Minute)
				_, err := b.peer.Request(try, wire.VerbSave, m)
				stop()
				if err == nil {
					saved <- id
					return
				}
				if !errors.Is(err, bus.ErrBusy) {
					t.Errorf("result %d: %v, want busy", id, err)
				}
				select {
				case first <- true:
				default:
				}
				<-time.After(time.Second)
			}
		}
		busy, saved := make(chan bool, mappers), make(chan chunk.ID, mappers)
		for id := range chunk.ID(mappers) {
			go deliver(id, busy, saved)
		}
		<-time.After(500 * time.Millisecond)
		synctest.Wait()
		if taken, most := mappers-len(busy), memory*3/8/size; taken > most || taken < most-1 {
			t.Errorf("%d results of %d bytes are accepted, want %d", taken, size, most)
		}
		close(disk)
		for range mappers {
			select {
			case <-saved:
			case <-time.After(time.Hour):
				t.Fatal("a result was not saved")
			}
		}
	})
}
