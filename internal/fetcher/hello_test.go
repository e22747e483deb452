package fetcher_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/wire"
)

// hellos subscribes to a fetcher's hellos.
func (b *bench) hellos() <-chan wire.Hello {
	b.t.Helper()
	heard := make(chan wire.Hello, 10)
	ear := b.net.Connect("ear")
	b.t.Cleanup(ear.Close)
	_, err := bus.New(ear, job).Serve(bus.Service{Name: "ear", Version: "1.0.0", Hidden: true, Endpoints: []bus.Endpoint{{
		Verb: wire.VerbHello, Handle: func(r *bus.Request) {
			hello, err := wire.DecodeHello(r.Message)
			if err != nil {
				b.t.Errorf("hello: %v", err)
			}
			heard <- hello
		},
	}}})
	if err != nil {
		b.t.Fatal(err)
	}
	return heard
}

// wantHello receives one hello, which must have been sent.
func (b *bench) wantHello(heard <-chan wire.Hello, epoch uint64) {
	b.t.Helper()
	synctest.Wait()
	if len(heard) != 1 {
		b.t.Fatalf("got %d hellos, want 1", len(heard))
	}
	if got, want := <-heard, (wire.Hello{Plan: b.Status().Plan, Epoch: epoch}); got != want {
		b.t.Errorf("hello: got %+v, want %+v", got, want)
	}
}

// TestHello: a fetcher sends a hello when it starts to serve, not while it waits for the
// saver, and after a reconnect.
func TestHello(t *testing.T) {
	var heard <-chan wire.Hello
	before := func(b *bench) {
		heard = b.hellos()
		b.net.SetHook(func(p bustest.Packet) bustest.Fate { // its claim is lost
			return bustest.Fate{Drop: p.From == "fetcher"}
		})
	}
	runAfter(t, 4, before, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		pass(10 * time.Second)
		if len(heard) > 0 {
			t.Errorf("sent a hello before it serves")
		}
		b.net.SetHook(nil)
		pass(10 * time.Second)
		b.wantHello(heard, 1)
		b.wantWork(b.ask(next("m1", 1)), 0)
		for range 2 {
			b.net.Away()
			pass(10 * time.Second)
			b.net.Back()
			b.wantHello(heard, 1)
		}
		pass(10 * time.Second)
		if len(heard) > 0 {
			t.Error("sent another hello without a reason")
		}
	})
}

// TestOffline_assignsNothing: while the fetcher is not connected it assigns no chunk, because
// the answer would be lost. After a reconnect it answers the waiting request.
func TestOffline_assignsNothing(t *testing.T) {
	slowly := func(c *fetcher.Config) { c.Rate = 0.2 } // a chunk of two objects in 10 s
	runWith(t, 4, slowly, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m1", 1)), 0)
		patient := next("m2", 1)
		patient.Wait = time.Minute
		waits := b.ask(patient)
		b.own.Disconnect()
		pass(20 * time.Second)
		if s := b.Status().Chunks; s.InFlight != 1 || s.Ready != 1 {
			t.Errorf("status counts %+v, want the second chunk ready", s)
		}
		b.own.Reconnect()
		b.wantWork(waits, 1)
	})
}
