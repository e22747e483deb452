package metrics

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// handmade is a mapper that the test controls, to do what a real one never does.
type handmade struct {
	t    *testing.T
	bus  *bus.Bus
	self report.Mapper
	seq  uint64
	work wire.Work // the last grant
	held []chunk.Piece
	stop func(context.Context) error
}

func (j *job) handmade(name string) *handmade {
	j.t.Helper()
	b := j.connect(bus.RoleMapper)
	g := &handmade{t: j.t, bus: b, self: report.Mapper{ID: b.ID(), Name: name, Version: "handmade", Transform: "handmade"}}
	stop, err := b.Serve(bus.Service{Name: "mapper", Version: "0.0.0", Hidden: true, Endpoints: []bus.Endpoint{{
		Verb: wire.VerbMapper(b.ID()), Handle: func(r *bus.Request) { _ = r.Reply(wire.OrderAnswer{}.Encode()) },
	}}})
	if err != nil {
		j.t.Fatal(err)
	}
	g.stop = stop
	return g
}

// handmadePace makes the grant of a handmade mapper one whole chunk: 25 ms for ten objects.
const handmadePace = 2500 * time.Microsecond

// take requests work until it has a chunk.
func (g *handmade) take() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		g.seq++
		answer, err := g.bus.Request(ctx, wire.VerbNext, wire.Next{
			Plan: g.work.Plan, Mapper: g.self, Wait: time.Minute, Epoch: g.work.Epoch, Pace: handmadePace,
			Holding: wire.Holding{Seq: g.seq, Held: g.held, Asking: []uint64{g.seq}},
		}.Encode())
		if err != nil {
			continue
		}
		work, err := wire.DecodeWork(answer)
		if err != nil {
			g.t.Fatal(err)
		}
		if work.Status == wire.WorkGrant {
			g.work, g.held = work, append(slices.Clone(g.held), work.Grant[0].Piece())
			return
		}
	}
	g.t.Fatalf("%s got no chunk", g.self.Name)
}

// beat sends a heartbeat with the pieces that the mapper holds, after change.
func (g *handmade) beat(change func(*wire.Beat)) {
	g.t.Helper()
	g.seq++
	b := wire.Beat{Plan: g.work.Plan, Mapper: g.self, Epoch: g.work.Epoch, Holding: wire.Holding{Seq: g.seq, Held: g.held}}
	if change != nil {
		change(&b)
	}
	if err := g.bus.Publish(wire.VerbBeat, b.Encode()); err != nil {
		g.t.Logf("%s: %v", g.self.Name, err) // the server may be down; the next heartbeat follows
		return
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	_ = g.bus.Flush(ctx)
}

// vanish disconnects without a goodbye.
func (g *handmade) vanish() { g.bus.Close() }

// save sends the result of the transform identity, after change.
func (g *handmade) save(change func(*wire.Save)) wire.SaveStatus {
	g.t.Helper()
	w := g.work.Grant[0]
	counts := make([]int, w.Chunk.Count)
	for i := range counts {
		counts[i] = 1
	}
	s := wire.Save{Plan: g.work.Plan, Epoch: g.work.Epoch, Mapper: g.self, Results: []wire.Result{{
		Chunk: w.Chunk.ID, From: w.From, Of: w.Of, First: w.Chunk.First, Objects: w.Chunk.Count, Attempt: w.Attempt,
		Digest: w.Digest, Token: w.Token, Counts: counts, Outputs: bytes.Clone(w.Chunk.Body),
	}}}
	if change != nil {
		change(&s)
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	answer, err := g.bus.Request(ctx, wire.VerbSave, s.Encode())
	if err != nil {
		g.t.Fatal(err)
	}
	said, err := wire.DecodeSaveAnswer(answer)
	if err != nil {
		g.t.Fatal(err)
	}
	return said.Of(0)
}
