package saver_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/sim"
)

// slowToLook is a sink whose lookups of saved results wait for the test.
type slowToLook struct {
	*sim.Sink
	gate chan struct{}
}

func (s slowToLook) Look(ctx context.Context, id chunk.ID) ([]sink.Result, error) {
	<-s.gate
	return s.Sink.Look(ctx, id)
}

// TestShadow_large: the results that wait for a comparison are bounded in bytes, even if
// they are few; further ones are answered busy and sent again.
func TestShadow_large(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, net: bustest.NewMemory(bustest.Options{MaxPayload: 64 << 20}), sink: sim.NewSink()}
		if _, err := b.sink.Claim(t.Context(), plan, "f1"); err != nil {
			t.Fatal(err)
		}
		own, peer := b.net.Connect("saver"), b.net.Connect("peer")
		defer own.Close()
		defer peer.Close()
		b.peer = bus.New(peer, job)
		held := slowToLook{b.sink, make(chan struct{})}
		b.saver = saver.New(bus.New(own, job), held, zerolog.Nop())
		b.saver.Memory(8 * 64 << 20)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.saver.Run(ctx) }()
		defer func() { cancel(); <-done }()
		synctest.Wait()

		b.want(result(0), wire.SaveCommitted)
		s := result(0)
		s.Shadow = true
		s.Outputs = []byte("{\"a\":0}\n\"" + strings.Repeat("x", 24<<20) + "\"\n")
		large := sign(s).Encode()
		first, second := b.send(large), b.send(large)
		synctest.Wait()
		if a := <-b.send(large); a.Of(0) != wire.SaveBusy {
			t.Errorf("a third result of 24 MiB was answered %+v, want busy", a)
		}
		close(held.gate)
		for _, answer := range []<-chan wire.SaveAnswer{first, second} {
			if a := <-answer; a.Of(0) != wire.SaveDuplicate {
				t.Errorf("a result that waited was answered %+v, want duplicate", a)
			}
		}
		if a := <-b.send(large); a.Of(0) != wire.SaveDuplicate {
			t.Errorf("a third result, sent again, was answered %+v, want duplicate", a)
		}
	})
}
