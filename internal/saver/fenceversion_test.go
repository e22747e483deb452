package saver_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

func ofTerm(id chunk.ID, term uint64) message { return signIn(result(id), term) }

// TestFenceVersion: results of leases from before a version was fenced are refused, even one that
// waits for its commit. Results of later leases and of other versions are saved.
func TestFenceVersion(t *testing.T) {
	run(t, true, gated, func(t *testing.T, b *bench) {
		commit := func() { b.gate <- struct{}{}; synctest.Wait() }
		fenceVersion := func(term uint64, want wire.SyncStatus) {
			t.Helper()
			q := wire.Sync{Op: wire.SyncFence, Plan: plan.ID(), Fetcher: "f1", Epoch: 1, Version: "v", Term: term}
			if want == wire.SyncFenced {
				q.Epoch = 0
			}
			if a := b.ask(q); a.Status != want {
				t.Fatalf("fence version: %+v, want %s", a, want)
			}
		}
		first := b.send(ofTerm(0, 0).Encode())
		synctest.Wait()
		commit()
		if a := <-first; a.Of(0) != wire.SaveCommitted {
			t.Fatalf("before: %+v", a)
		}
		waits := b.send(ofTerm(1, 0).Encode())
		synctest.Wait()
		fenceVersion(1, wire.SyncFenced) // a replaced fetcher cannot fence a version
		fenceVersion(1, wire.SyncOK)
		commit()
		if a := <-waits; a.Of(0) != wire.SaveRefused || !strings.Contains(a.Reason, `"v" was fenced`) {
			t.Errorf("queued result: got %+v, want refused", a)
		}
		b.want(ofTerm(2, 0), wire.SaveRefused)
		b.want(ofTerm(2, 2), wire.SaveRefused)
		other := result(2)
		other.Mapper.Version = "w"
		for _, s := range []message{ofTerm(3, 1), other} {
			answer := b.send(s.Encode())
			synctest.Wait()
			commit()
			if a := <-answer; a.Of(0) != wire.SaveCommitted {
				t.Errorf("result of version %s: %+v, want committed", s.Mapper.Version, a)
			}
		}
		for id, want := range map[chunk.ID]bool{0: true, 1: false, 2: true, 3: true} {
			if _, there := b.sink.Result(id); there != want {
				t.Errorf("chunk %d is in the sink: %v, want %v", id, there, want)
			}
		}
		if a := b.ask(wire.Sync{Op: wire.SyncClaim, Plan: plan.ID(), Fetcher: "f2", Claim: &plan}); len(a.Past.Terms) != 1 || a.Past.Terms["v"] != 1 {
			t.Errorf("the next fetcher is granted %+v, want the term of v", a)
		}
	})
}

// TestRefresh: a saver that has not read a claim or a fence of another saver of its sink yet reads them before it
// refuses a result. While it cannot, the mapper has to send the result again.
func TestRefresh(t *testing.T) {
	run(t, false, nil, func(t *testing.T, b *bench) {
		other := func(recorded func() error) { b.sink.OnRefresh = sync.OnceValue(recorded) }
		b.want(result(0), wire.SaveRefused) // no saver has recorded a claim

		other(func() error { return sink.ErrUnreachable })
		b.want(result(0), wire.SaveBusy)
		other(func() error { _, err := b.sink.Claim(t.Context(), plan, "f1"); return err })
		b.want(result(0), wire.SaveCommitted)
		other(func() error { return b.sink.FenceVersion(t.Context(), "v", 1) })
		b.wantEach(together(ofTerm(1, 1), ofTerm(2, 0)), wire.SaveCommitted, wire.SaveRefused)
	})
}

// TestRefresh_together: messages that wait to be checked again are checked with one look at the sink, so a saver that
// stops does not wait for a database that is away once for each.
func TestRefresh_together(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		looks, answer := 0, make(chan struct{})
		b.sink.OnRefresh = func() error {
			looks++
			<-answer
			return sink.ErrUnreachable
		}
		later := ofTerm(0, 1) // after a fence that the saver does not know of
		answers := []<-chan wire.SaveAnswer{b.send(later.Encode())}
		synctest.Wait()
		for range 6 {
			answers = append(answers, b.send(later.Encode()))
		}
		synctest.Wait()
		b.cancel()
		close(answer)
		for _, a := range answers {
			if got := <-a; got.Of(0) != wire.SaveBusy {
				t.Errorf("answered %+v, want busy", got)
			}
		}
		if err := <-b.done; err != nil || looks > 3 { // one may be that of the idle commit loop
			t.Errorf("stopped with %v after %d looks at the sink, want 2", err, looks)
		}
	})
}
