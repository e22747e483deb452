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

// hellos records what a fetcher says to all mappers.
func (b *bench) hellos() <-chan wire.Hello {
	b.t.Helper()
	said := make(chan wire.Hello, 10)
	ear := b.net.Connect("ear")
	b.t.Cleanup(ear.Close)
	_, err := bus.New(ear, job).Serve(bus.Service{Name: "ear", Version: "1.0.0", Hidden: true, Endpoints: []bus.Endpoint{{
		Verb: wire.VerbHello, Handle: func(r *bus.Request) {
			hello, err := wire.DecodeHello(r.Message)
			if err != nil {
				b.t.Errorf("hello: %v", err)
			}
			said <- hello
		},
	}}})
	if err != nil {
		b.t.Fatal(err)
	}
	return said
}

// wantHello takes one hello, which must have been said by now.
func (b *bench) wantHello(said <-chan wire.Hello, epoch uint64) {
	b.t.Helper()
	synctest.Wait()
	if len(said) != 1 {
		b.t.Fatalf("said hello %d times, want once", len(said))
	}
	if got, want := <-said, (wire.Hello{Plan: b.Status().Plan, Epoch: epoch}); got != want {
		b.t.Errorf("said hello as %+v, want %+v", got, want)
	}
}

// A fetcher says hello when it serves, not while it waits for the saver; and when its
// connection is back.
func TestHello(t *testing.T) {
	var said <-chan wire.Hello
	before := func(b *bench) {
		said = b.hellos()
		b.net.SetHook(func(p bustest.Packet) bustest.Fate { // its claim is lost
			return bustest.Fate{Drop: p.From == "fetcher"}
		})
	}
	runAfter(t, 4, before, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		pass(10 * time.Second)
		if len(said) > 0 {
			t.Errorf("said hello before it serves")
		}
		b.net.SetHook(nil)
		pass(10 * time.Second)
		b.wantHello(said, 1)
		b.wantWork(b.ask(next("m1", 1)), 0)
		for range 2 {
			b.net.Away()
			pass(10 * time.Second)
			b.net.Back()
			b.wantHello(said, 1)
		}
		pass(10 * time.Second)
		if len(said) > 0 {
			t.Error("said hello again, without a reason")
		}
	})
}

// While the fetcher's connection is down no chunk goes out: the answer would be lost, and
// its mapper would wait for it. Once it is up again the request that waits is answered.
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
