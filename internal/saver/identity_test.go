package saver_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestIdentity: every message of a saver carries the identity of its sink.
func TestIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, err := sink.OpenFolder(dir, job, sink.FolderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	net := bustest.NewMemory(bustest.Options{})
	own, far := net.Connect("saver"), net.Connect("peer")
	defer own.Close()
	defer far.Close()
	peer := bus.New(far, job)
	confirmed := make(chan wire.SinkID, 1)
	var key atomic.Pointer[[]byte]
	stop, err := peer.Serve(bus.Service{Name: "fetcher", Version: "1.0.0", Endpoints: []bus.Endpoint{
		{Verb: wire.VerbSaved, Handle: func(r *bus.Request) {
			saved, err := wire.DecodeSaved(*key.Load(), r.Message)
			if err != nil {
				t.Error(err)
			}
			_ = r.Reply(wire.SavedAnswer{Plan: saved.Plan}.Encode())
			confirmed <- saved.Sink
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stop(context.Background()) }()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s := saver.New(bus.New(own, job), folder, zerolog.Nop())
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()

	b := &bench{t: t, peer: peer}
	claim := wire.Sync{Op: wire.SyncClaim, Plan: plan.ID(), Fetcher: "f1", Claim: &plan}
	var reply wire.Message
	for { // until the saver serves
		if reply, err = peer.Request(t.Context(), wire.VerbSync, claim.Encode()); err == nil || t.Context().Err() != nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := wire.DecodeSyncAnswer(reply)
	if err != nil {
		t.Fatal(err)
	}
	id, at := folder.Identity()
	if id == "" || claimed.Sink.ID != id || !strings.HasSuffix(claimed.Sink.At, ":"+at) {
		t.Errorf("claim is answered by %+v, want sink %s at %s", claimed.Sink, id, at)
	}
	key.Store(&claimed.Key)
	r := result(0)
	r.Token = wire.Lease{Plan: r.Plan, Piece: r.Piece(), Of: r.Of, First: r.First, Digest: r.Digest}.Token(claimed.Key)
	saved, answered := <-b.send(r.Encode())
	if !answered || saved.Of(0) != wire.SaveCommitted || saved.Sink != claimed.Sink {
		t.Errorf("result is answered %+v, want committed by %+v", saved, claimed.Sink)
	}
	if from := <-confirmed; from != claimed.Sink {
		t.Errorf("confirmed by %+v, want %+v", from, claimed.Sink)
	}
	other := b.ask(wire.Sync{Op: wire.SyncList, Plan: chunk.PlanID(strings.Repeat("0", 32)), Fetcher: "f1", Epoch: 1, Limit: 1})
	if other.Status != wire.SyncOtherPlan || other.Sink != claimed.Sink {
		t.Errorf("a request of another plan is answered %+v, want a refusal with the sink's identity", other)
	}
}
