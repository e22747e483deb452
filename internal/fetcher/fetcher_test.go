package fetcher_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestFrozen: after the fetcher was stopped for longer than all leases, no mapper loses a
// chunk because of heartbeats that the fetcher could not receive.
func TestFrozen(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m1", 1)), 0)
		b.wantWork(b.ask(next("m2", 1)), 1)
		b.Freeze(t.Context(), 20*time.Second)
		for seq := uint64(2); seq < 20; seq++ { // they wait until the coordinator continues
			pass(time.Second)
			b.beat("m1", seq, nil, 0)
			b.beat("m2", seq, nil, 1)
		}
		pass(2500 * time.Millisecond) // it has continued, and has just received the heartbeats
		b.beat("m1", 21, nil, 0)
		b.beat("m2", 21, nil, 1)
		pass(time.Second)
		if s := b.Status(); s.Chunks.InFlight != 2 || s.Chunks.Ready != 0 || s.Chunks.Redelivered != 0 || len(s.Mappers) != 2 {
			t.Errorf("status is %+v, want both chunks in flight", s)
		}
	})
}

// TestFrozenRequests: a request whose wait ended while the fetcher was stopped gets no
// chunk, because its mapper no longer waits for the answer.
func TestFrozenRequests(t *testing.T) {
	run(t, 2, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m1", 1)), 0) // the only chunk
		waits := b.ask(next("m2", 1))
		b.Freeze(t.Context(), 10*time.Second)
		pass(9 * time.Second)
		// m1 has lost its chunk, which is ready again once the coordinator continues.
		b.beat("m1", 2, nil)
		pass(2 * time.Second)
		if w := <-waits; w.Status != wire.WorkNone {
			t.Errorf("late request got %s, want none", w.Status)
		}
		b.wantWork(b.ask(next("m2", 2)), 0)
	})
}

// TestDoubledRequest: a doubled request gets one chunk, and a late request none. A request
// that was only overtaken by a heartbeat gets its chunk.
func TestDoubledRequest(t *testing.T) {
	run(t, 10, func(t *testing.T, b *bench) {
		doubled := func(p bustest.Packet) bustest.Fate {
			if _, err := wire.DecodeNext(p.Message); !p.Reply && err == nil {
				return bustest.Fate{Copies: 2}
			}
			return bustest.Fate{}
		}
		b.net.SetHook(doubled)
		b.wantWork(b.ask(next("m1", 1)), 0)
		pass(300 * time.Millisecond)
		if s := b.Status().Chunks; s.InFlight != 1 {
			t.Errorf("status counts %+v, want one chunk in flight", s)
		}
		b.net.SetHook(nil)
		b.beat("m1", 5, nil, 0) // requests 2 to 4 are over
		late := b.ask(next("m1", 3, 0))
		pass(300 * time.Millisecond)
		if s := b.Status(); s.Chunks.InFlight != 1 || s.Waiting != 0 || len(late) != 0 {
			t.Errorf("status is %+v, want the late request ignored", s)
		}
		overtaking := wire.Beat{
			Plan: b.Status().Plan, Mapper: next("m1", 7).Mapper, Holding: wire.Holding{Seq: 7, Asking: []uint64{6}},
		}
		overtaking.Held = wholes(0)
		if err := b.peer.Publish(wire.VerbBeat, overtaking.Encode()); err != nil {
			t.Fatal(err)
		}
		b.wantWork(b.ask(next("m1", 6, 0)), 1)
	})
}

// TestFencedByMapper: a newer epoch in a mapper's message makes the fetcher ask the saver at
// once. Only the saver's answer counts: the mapper's epoch may be that of another sink.
func TestFencedByMapper(t *testing.T) {
	for name, tell := range map[string]func(b *bench, seq uint64){
		"next": func(b *bench, seq uint64) {
			n := next("m1", seq)
			n.Plan, n.Epoch = b.Status().Plan, 2
			b.ask(n)
		},
		"beat": func(b *bench, seq uint64) {
			m := wire.Beat{Plan: b.Status().Plan, Mapper: report.Mapper{ID: "m1"}, Holding: wire.Holding{Seq: seq}, Epoch: 2}
			if err := b.peer.Publish(wire.VerbBeat, m.Encode()); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 10, func(t *testing.T, b *bench) {
				waits := b.ask(next("m2", 1))
				b.wantWork(waits, 0)
				tell(b, 1)
				pass(time.Second)
				if len(b.done) > 0 {
					t.Fatal("a mapper's message ended the fetcher")
				}
				plan, _ := b.sink.Plan()
				if _, err := b.sink.Claim(t.Context(), plan, "newer"); err != nil {
					t.Fatal(err)
				}
				tell(b, 2)
				synctest.Wait()
				select {
				case err := <-b.done:
					if !errors.Is(err, fetcher.ErrFenced) {
						t.Errorf("ended with %v, want ErrFenced", err)
					}
				default:
					t.Error("still runs")
				}
			})
		})
	}
}

// TestDoingOutOfRange: a report of an object that the chunk does not have is no evidence,
// and does no harm.
func TestDoingOutOfRange(t *testing.T) {
	run(t, 2, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m1", 1)), 0)
		for i, doing := range []wire.Doing{{Chunk: 0, Index: 3}, {Chunk: 0, Index: 9999}, {Chunk: 99, Index: 0}, {Chunk: 0, Index: 2}, {Chunk: 0, Index: 0}} {
			b.beat("m1", uint64(2+i), &doing, 0)
		}
		pass(500 * time.Millisecond)
		if s := b.Status(); s.Chunks.InFlight != 1 || len(s.Mappers) != 1 {
			t.Errorf("status is %+v, want the chunk in flight", s)
		}
	})
}

// TestOtherPlanHeld: pieces of another plan that a mapper holds do not count.
func TestOtherPlanHeld(t *testing.T) {
	run(t, 4, func(_ *testing.T, b *bench) {
		n := next("m1", 1, 0, 1)
		n.Plan = "00000000000000000000000000000000"
		b.wantWork(b.ask(n), 0)
	})
}

// TestMalformedRequest: a malformed request is refused with a reason.
func TestMalformedRequest(t *testing.T) {
	run(t, 4, func(t *testing.T, b *bench) {
		m := next("m1", 1).Encode()
		delete(m.Header, "Chunkline-Wait-Ms")
		reply, err := b.peer.Request(t.Context(), wire.VerbNext, m)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := wire.DecodeWork(reply); err != nil || w.Status != wire.WorkRefused || w.Reason == "" {
			t.Errorf("answered %+v (%v), want refused with a reason", w, err)
		}
	})
}
