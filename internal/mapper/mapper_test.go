package mapper_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// A request lists itself; a chunk is on the list from the answer until the
// saver has answered.
func TestLists(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=10s", Workers: 2}, func(t *testing.T, b *bench) {
		r1, n1 := b.next()
		_, n2 := b.next()
		if n1.Plan != "" || n1.Epoch != 0 || !slices.Contains(n1.Asking, n1.Seq) || !slices.Contains(n2.Asking, n2.Seq) || len(n1.Held) != 0 {
			t.Fatalf("first requests are %+v and %+v, want each to list itself", n1, n2)
		}
		reply(t, r1, work(7).Encode())
		beat := b.last()
		if !slices.Equal(beat.Held, []chunk.ID{7}) || !slices.Equal(beat.Asking, []uint64{n2.Seq}) || beat.Epoch != 3 || beat.Plan != plan.ID() {
			t.Errorf("beat is %+v, want chunk 7 held and one request open", beat)
		}
		r, s := b.save()
		want := work(7)
		if s.Token != want.Token || s.Digest != want.Digest || s.First != 14 || s.Objects != 2 || s.Mapper.Version != "v1" ||
			string(s.Outputs) != `{"id":"a","name":"b c"}`+"\n"+`{"id":"d","name":"e f"}`+"\n" {
			t.Errorf("result is %+v", s)
		}
		b.wantHeld(7)
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Status: wire.SaveCommitted}.Encode())
		b.wantHeld()
	})
}

// A drop order ends the work on that chunk of that plan, and on no other.
func TestDrop(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=10m", Workers: 2}, func(t *testing.T, b *bench) {
		for id := range chunk.ID(2) {
			r, _ := b.next()
			reply(t, r, work(id).Encode())
		}
		drop := wire.Order{Plan: chunk.Plan{Source: "b"}.ID(), Kind: wire.OrderDrop, Chunk: 0}
		if err := b.order(drop); err != nil {
			t.Fatal(err)
		}
		b.wantHeld(0, 1)
		drop.Plan = plan.ID()
		if err := b.order(drop); err != nil {
			t.Fatal(err)
		}
		if _, n := b.next(); !slices.Equal(n.Held, []chunk.ID{1}) {
			t.Errorf("next request is %+v, want chunk 1 held, at once", n)
		}
		b.wantHeld(1)
	})
}

// A result is sent until it is committed, with pauses, whatever the saver says.
func TestBusy(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, work(0).Encode())
		begin := time.Now()
		for range 20 {
			r, _ := b.save()
			reply(t, r, wire.SaveAnswer{Status: wire.SaveBusy, Reason: "full"}.Encode())
		}
		if took := time.Since(begin); took < 10*time.Second || took > time.Minute {
			t.Errorf("20 tries took %s, want pauses that grow to 2s", took)
		}
		b.save()        // this one gets no answer
		r, _ = b.save() // and is sent again
		b.wantHeld(0)
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Status: wire.SaveDuplicate}.Encode())
		b.wantHeld()
	})
}

// Work of an older epoch is not touched: a newer fetcher has replaced its.
func TestOldEpoch(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, work(0).Encode())
		r, _ = b.save()
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Status: wire.SaveCommitted}.Encode())
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

// In careful mode each object is announced, and in the end that none is in
// work any more; objects to skip are not touched.
func TestCareful(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		w := work(4)
		w.Careful, w.Skip = true, []chunk.Flaw{{Index: 0, Reason: "took down 2 mappers"}}
		b.heard()
		reply(t, r, w.Encode())
		var doing []wire.Doing
		for _, beat := range b.heard() {
			if beat.Doing != nil {
				doing = append(doing, *beat.Doing)
			}
		}
		if want := []wire.Doing{{Chunk: 4, Index: 1}, {Chunk: 4, Index: 2}}; !slices.Equal(doing, want) {
			t.Errorf("announced %v, want %v", doing, want)
		}
		_, s := b.save()
		letter, err := chunk.ParseDeadLetter(s.Dead)
		if err != nil || s.DeadCount != 1 || letter.Ordinal != 8 || letter.Error != "took down 2 mappers" || !slices.Equal(s.Counts, []int{0, 1}) {
			t.Errorf("result is %+v, dead letter %+v (%v)", s, letter, err)
		}
	})
}

// An order to drain ends the mapper as SIGTERM does.
func TestDrainOrder(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 3, StopTimeout: time.Second}, func(t *testing.T, b *bench) {
		b.heard()
		if err := b.order(wire.Order{Plan: plan.ID(), Kind: wire.OrderDrain, Reason: "the job is done"}); err != nil {
			t.Fatal(err)
		}
		if err := <-b.done; err != nil {
			t.Errorf("drained with %v", err)
		}
		if !strings.Contains(b.log.String(), `"reason":"the job is done","message":"the fetcher asks this mapper to end"`) {
			t.Errorf("the log does not say why: %s", b.log.String())
		}
		if beats := b.heard(); len(beats) == 0 || !beats[len(beats)-1].Goodbye {
			t.Errorf("beats %+v, want a goodbye as the last", beats)
		}
	})
}

// A chunk that is on its way to a mapper that stops is not wasted: the mapper
// says that it drains, takes what comes, and asks for no more.
func TestDrain_onItsWay(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=5s", Workers: 1, StopTimeout: time.Minute}, func(t *testing.T, b *bench) {
		r, n := b.next()
		b.heard()
		b.cancel()
		pass(0)
		if beats := b.heard(); len(beats) != 1 || !beats[0].Draining || beats[0].Goodbye || !slices.Equal(beats[0].Asking, []uint64{n.Seq}) {
			t.Fatalf("beats are %+v, want one that drains and lists its request", beats)
		}
		reply(t, r, work(0).Encode())
		r, _ = b.save()
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Status: wire.SaveCommitted}.Encode())
		if err := <-b.done; err != nil {
			t.Errorf("drained with %v", err)
		}
		if beat := b.last(); !beat.Goodbye || len(beat.Asking) != 0 {
			t.Errorf("last beat is %+v, want a goodbye with nothing open", beat)
		}
	})
}

// A fetcher that is frozen is worth one line for all workers, and its return
// another.
func TestFetcherFrozen(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 3}, func(t *testing.T, b *bench) {
		pass(time.Minute) // nobody answers the requests
		if b.ready() == nil {
			t.Error("ready without a fetcher")
		}
		for len(b.nexts) > 0 {
			<-b.nexts
		}
		for range 6 {
			r, _ := b.next()
			reply(t, r, wire.Work{Status: wire.WorkNone, Plan: plan.ID(), Epoch: 1}.Encode())
		}
		if err := b.ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		b.cancel()
		<-b.done
		for _, line := range []string{"no answer from the fetcher", "the fetcher answers again"} {
			if n := strings.Count(b.log.String(), line); n != 1 {
				t.Errorf("%d lines say %q, want 1:\n%s", n, line, b.log.String())
			}
		}
	})
}
