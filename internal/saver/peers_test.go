package saver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/sim"
)

// TestConfirmAgain: a confirmation without an answer is sent again unchanged: it names
// exactly what was committed.
func TestConfirmAgain(t *testing.T) {
	run(t, true, gated, func(_ *testing.T, b *bench) {
		first := b.send(result(9).Encode())
		synctest.Wait()
		for range 3 {
			b.send(result(5).Encode())
		}
		synctest.Wait()
		b.gate <- struct{}{}
		<-first
		b.wantConfirmed([]chunk.ID{9})
		b.mu.Lock()
		b.silent = 2
		b.mu.Unlock()
		close(b.gate)
		<-time.After(time.Minute)
		b.wantConfirmed([]chunk.ID{9}, []chunk.ID{5}, []chunk.ID{5}, []chunk.ID{5})
	})
}

// TestStop: a saver that is stopped commits and answers the results that it has accepted.
func TestStop(t *testing.T) {
	run(t, true, gated, func(t *testing.T, b *bench) {
		answers := []<-chan wire.SaveAnswer{b.send(result(0).Encode())}
		synctest.Wait()
		answers = append(answers, b.send(result(1).Encode()), b.send(result(2).Encode()))
		synctest.Wait()
		b.cancel()
		synctest.Wait()
		if _, err := b.peer.Request(t.Context(), wire.VerbSave, result(3).Encode()); !errors.Is(err, bus.ErrNobody) {
			t.Errorf("a stopping saver answered a new result: %v", err)
		}
		b.gate <- struct{}{}
		synctest.Wait()
		close(b.gate)
		for i, answer := range answers {
			if a := <-answer; a.Of(0) != wire.SaveCommitted {
				t.Errorf("result %d was answered %+v, want committed", i, a)
			}
		}
		if err := <-b.done; err != nil {
			t.Errorf("stopped with %v", err)
		}
		b.wantConfirmed([]chunk.ID{0}, []chunk.ID{1, 2})
	})
}

// TestStopWithoutFetcher: a saver that stops does not wait for a fetcher that does not answer.
func TestStopWithoutFetcher(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		b.silent = 1 << 30
		b.want(result(0), wire.SaveCommitted)
		b.want(result(1), wire.SaveCommitted)
		begin := time.Now()
		b.cancel()
		if err := <-b.done; err != nil || time.Since(begin) > 5*time.Second {
			t.Errorf("stopped after %s with %v, want at once", time.Since(begin), err)
		}
	})
}

// TestBroken: a broken sink ends the saver with its error, without an answer to the mapper.
func TestBroken(t *testing.T) {
	errFire := errors.New("disk on fire")
	run(t, true, func(*bench) error { return errFire }, func(t *testing.T, b *bench) {
		answer := b.send(result(0).Encode())
		if err := <-b.done; !errors.Is(err, errFire) {
			t.Errorf("ended with %v, want the sink's error", err)
		}
		if a, answered := <-answer; answered {
			t.Errorf("result was answered %+v", a)
		}
		b.wantConfirmed()
	})
}

// TestFull: a full sink makes the saver answer busy and be unready until there is space.
func TestFull(t *testing.T) {
	full := true
	run(t, true, func(*bench) error {
		if full {
			return sink.ErrFull
		}
		return nil
	}, func(t *testing.T, b *bench) {
		b.want(result(0), wire.SaveBusy)
		if err := b.saver.Ready(); err == nil || err.Error() != "sink is full: "+sink.ErrFull.Error() {
			t.Errorf("ready: %v, want that the sink is full", err)
		}
		list := b.ask(wire.Sync{Op: wire.SyncList, Plan: plan.ID(), Fetcher: "f1", Epoch: 1, Limit: 1})
		if list.Load.Full != sink.ErrFull.Error() {
			t.Errorf("load %+v, want that the sink is full", list.Load)
		}
		full = false
		b.want(result(0), wire.SaveCommitted)
		if err := b.saver.Ready(); err != nil {
			t.Errorf("not ready with space: %v", err)
		}
		if list := b.ask(wire.Sync{Op: wire.SyncList, Plan: plan.ID(), Fetcher: "f1", Epoch: 1, Limit: 1}); list.Load.Full != "" {
			t.Errorf("load %+v with space", list.Load)
		}
		b.wantConfirmed([]chunk.ID{0})
	})
}

// TestClosed: a connection that is closed for good ends the saver.
func TestClosed(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		b.net.Away()
		if b.saver.Ready() == nil {
			t.Error("ready without NATS")
		}
		b.net.Back()
		if err := b.saver.Ready(); err != nil {
			t.Errorf("not ready with NATS: %v", err)
		}
		b.crash()
		if err := <-b.done; app.Code(err) != app.ExitUnreachable || !errors.Is(err, bus.ErrClosed) {
			t.Errorf("ended with %v (code %d), want unreachable", err, app.Code(err))
		}
	})
}

// ask sends a sync request to the saver.
func (b *bench) ask(q wire.Sync) wire.SyncAnswer {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	reply, err := b.peer.Request(ctx, wire.VerbSync, q.Encode())
	if err != nil {
		b.t.Fatal(err)
	}
	a, err := wire.DecodeSyncAnswer(reply)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// TestSync: the saver grants claims, fences replaced fetchers and refuses other plans.
func TestSync(t *testing.T) {
	run(t, false, nil, func(t *testing.T, b *bench) {
		id := plan.ID()
		claim := func(fetcher string) wire.SyncAnswer {
			return b.ask(wire.Sync{Op: wire.SyncClaim, Plan: id, Fetcher: fetcher, Claim: &plan})
		}
		list := func(epoch uint64) wire.SyncAnswer {
			return b.ask(wire.Sync{Op: wire.SyncList, Plan: id, Fetcher: "f1", Epoch: epoch, Limit: 10})
		}
		if a := list(1); a.Status != wire.SyncOtherPlan {
			t.Errorf("list of an unclaimed sink: %+v", a)
		}
		if a := claim("f1"); a.Status != wire.SyncOK || a.Epoch != 1 || len(a.Key) != 32 || a.Plan != id {
			t.Errorf("claim: %+v", a)
		}
		b.want(result(0), wire.SaveCommitted)
		b.want(result(2), wire.SaveCommitted)
		if a := list(1); a.Status != wire.SyncOK || len(a.Entries) != 2 || a.Entries[1].Digest != result(2).Digest || a.Summary.Chunks != 2 {
			t.Errorf("list: %+v", a)
		}
		some := b.ask(wire.Sync{Op: wire.SyncList, Plan: id, Fetcher: "f1", Epoch: 1, Chunks: []chunk.ID{1, 2}})
		if len(some.Entries) != 1 || some.Entries[0].ID != 2 {
			t.Errorf("which of 1 and 2: %+v", some)
		}
		if a := claim("f2"); a.Status != wire.SyncOK || a.Epoch != 2 || a.Summary.Chunks != 2 {
			t.Errorf("second claim: %+v", a)
		}
		for _, a := range []wire.SyncAnswer{claim("f1"), list(1)} {
			if a.Status != wire.SyncFenced || a.Epoch != 2 {
				t.Errorf("superseded fetcher was answered %+v", a)
			}
		}
		other := plan
		other.Size++
		if a := b.ask(wire.Sync{Op: wire.SyncClaim, Fetcher: "f3", Claim: &other}); a.Status != wire.SyncOtherPlan || a.Reason == "" {
			t.Errorf("claim of another plan: %+v", a)
		}
		if a := list(2); a.Status != wire.SyncOK {
			t.Errorf("list after a refused claim: %+v", a)
		}
	})
}

// TestFinish: the saver answers "working" until the result is merged. It reports a failure
// once, so that the next request tries again.
func TestFinish(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		finish := func(chunks uint64) wire.SyncAnswer {
			var a wire.SyncAnswer
			for range 3 { // begun, done, done again
				a = b.ask(wire.Sync{
					Op: wire.SyncFinish, Plan: plan.ID(), Fetcher: "f1", Epoch: 1, Total: wire.Totals{Chunks: chunks, Objects: 2 * chunks},
				})
				synctest.Wait()
				if a.Status != wire.SyncWorking {
					break
				}
			}
			return a
		}
		b.want(result(0), wire.SaveCommitted)
		if a := finish(2); a.Status != wire.SyncFailed || a.Reason == "" {
			t.Errorf("finish of an incomplete job: %+v", a)
		}
		b.want(result(1), wire.SaveCommitted)
		for range 2 {
			if a := finish(2); a.Status != wire.SyncOK || a.Summary.Output != "memory" || a.Summary.Objects != 4 {
				t.Errorf("finish: %+v", a)
			}
		}
	})
}

// The outcome of a merge is forgotten when another fetcher claims the job: redo or dead retry may have changed results
// since.
func TestFinish_again(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		merges := 0
		b.sink.OnFinish = func() error { merges++; return nil }
		b.want(result(0), wire.SaveCommitted)
		for epoch := 1; epoch <= 2; epoch++ {
			fetcher := fmt.Sprint("f", epoch)
			b.ask(wire.Sync{Op: wire.SyncClaim, Plan: plan.ID(), Fetcher: fetcher, Claim: &plan})
			for n := range 3 { // begun, done, done again
				a := b.ask(wire.Sync{Op: wire.SyncFinish, Plan: plan.ID(), Fetcher: fetcher, Epoch: uint64(epoch), Total: wire.Totals{Chunks: 1, Objects: 2}})
				synctest.Wait()
				if merges != epoch || n > 0 && a.Status != wire.SyncOK {
					t.Errorf("answer %d of epoch %d is %s, and there were %d merges", n, epoch, a.Status, merges)
				}
			}
		}
	})
}

// merging is a sink whose merge takes for ever.
type merging struct{ *sim.Sink }

func (merging) Finish(ctx context.Context, _, _ uint64) (sink.Summary, error) {
	<-ctx.Done()
	return sink.Summary{}, ctx.Err()
}

// A saver that is stopped does not wait for the end of a merge.
func TestStop_merging(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := bustest.NewMemory(bustest.Options{})
		own, peer := net.Connect("saver"), net.Connect("peer")
		defer own.Close()
		defer peer.Close()
		b := &bench{t: t, sink: sim.NewSink(), peer: bus.New(peer, job)}
		if _, err := b.sink.Claim(t.Context(), plan, "f1"); err != nil {
			t.Fatal(err)
		}
		s := saver.New(bus.New(own, job), merging{b.sink}, zerolog.Nop())
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		if a := b.ask(wire.Sync{Op: wire.SyncFinish, Plan: plan.ID(), Fetcher: "f1", Epoch: 1, Total: wire.Totals{Chunks: 1, Objects: 2}}); a.Status != wire.SyncWorking {
			t.Errorf("finish: %+v, want working", a)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
}

// A database that is away at the end of a job is waited for: the job does not fail.
func TestFinish_away(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		away := 10
		outage := func() error {
			if away--; away >= 0 {
				return sink.ErrUnreachable
			}
			return nil
		}
		b.want(result(0), wire.SaveCommitted)
		b.sink.OnRefresh = func() error {
			if away > 5 {
				return outage()
			}
			return nil
		}
		b.sink.OnFinish = outage
		status := wire.SyncWorking
		for status == wire.SyncWorking {
			status = b.ask(wire.Sync{Op: wire.SyncFinish, Plan: plan.ID(), Fetcher: "f1", Epoch: 1, Total: wire.Totals{Chunks: 1, Objects: 2}}).Status
			synctest.Wait()
		}
		if status != wire.SyncOK || away >= 0 {
			t.Errorf("finish ends with %s and %d outages left, want ok and none", status, max(0, away))
		}
	})
}
