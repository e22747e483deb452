//go:build browser

package browser

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// extra imitates a mapper: it requests work, sends heartbeats, holds a chunk for
// a while and saves it unchanged. A thousand of them fit into one process and
// on one connection.
type extra struct {
	bus  *bus.Bus
	self report.Mapper
	hold time.Duration

	mu     sync.Mutex
	seq    uint64        // guarded by mu
	held   []chunk.Piece // guarded by mu
	asking []uint64      // guarded by mu
	plan   chunk.PlanID  // guarded by mu
	epoch  uint64        // guarded by mu
}

// startExtras starts n such mappers; the test's cleanup ends them.
func startExtras(t *testing.T, nats string, n int, hold time.Duration) {
	t.Helper()
	b, err := bus.Connect(bus.Config{URL: nats}, bus.Options{Job: "users", Role: bus.RoleMapper, Name: "extra", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*extra, n)
	service := bus.Service{Name: "extra", Hidden: true}
	for i := range all {
		all[i] = &extra{bus: b, hold: hold, self: report.Mapper{ID: fmt.Sprintf("%s%04d", b.ID(), i), Name: fmt.Sprintf("mapper-%04d", i), Version: "1.4.2", Transform: "users"}}
		service.Endpoints = append(service.Endpoints, bus.Endpoint{Verb: wire.VerbMapper(all[i].self.ID), Handle: answer})
	}
	stop, err := b.Serve(service)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group errgroup.Group
	for _, x := range all {
		group.Go(func() error { return x.work(ctx) })
		group.Go(func() error { return x.beat(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		_ = group.Wait()
		_ = stop(context.Background())
		b.Close()
	})
}

// answer acknowledges any order.
func answer(r *bus.Request) {
	if order, err := wire.DecodeOrder(r.Message); err == nil {
		_ = r.Reply(wire.OrderAnswer{Plan: order.Plan}.Encode())
	}
}

// report returns the next message's number and the pieces that the mapper holds. The
// caller holds mu.
func (x *extra) report() wire.Holding {
	x.seq++
	return wire.Holding{Seq: x.seq, Held: slices.Clone(x.held), Asking: slices.Clone(x.asking)}
}

func (x *extra) beat(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		x.mu.Lock()
		err := x.bus.Publish(wire.VerbBeat, wire.Beat{Plan: x.plan, Mapper: x.self, Holding: x.report(), Epoch: x.epoch}.Encode())
		x.mu.Unlock()
		_ = err // the next heartbeat follows soon
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (x *extra) work(ctx context.Context) error {
	for ctx.Err() == nil {
		work, err := x.next(ctx)
		if err != nil || work.Status != wire.WorkGrant {
			if !pause(ctx, 100*time.Millisecond) || work.Status == wire.WorkDone {
				return nil
			}
			continue
		}
		if !pause(ctx, x.hold) { // stands for the work
			return nil
		}
		x.save(ctx, work)
	}
	return nil
}

// pause waits for d. It returns false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

const (
	nextWait = 5 * time.Second
	within   = 10 * time.Second // for an answer
)

func (x *extra) next(ctx context.Context) (wire.Work, error) {
	x.mu.Lock()
	x.asking = []uint64{x.seq + 1}
	question := wire.Next{Plan: x.plan, Mapper: x.self, Holding: x.report(), Wait: nextWait, Epoch: x.epoch, Pace: x.hold / 100}
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	reply, err := x.bus.Request(ctx, wire.VerbNext, question.Encode())
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asking = nil
	if err != nil {
		return wire.Work{}, err
	}
	work, err := wire.DecodeWork(reply)
	if err == nil && work.Status == wire.WorkGrant {
		x.held, x.plan, x.epoch = nil, work.Plan, work.Epoch
		for i := range work.Grant {
			x.held = append(x.held, work.Grant[i].Piece())
		}
	}
	return work, err
}

// save sends the unchanged objects as results until the saver has them.
func (x *extra) save(ctx context.Context, w wire.Work) {
	all := wire.Save{Plan: w.Plan, Epoch: w.Epoch, Mapper: x.self}
	for _, g := range w.Grant {
		all.Results = append(all.Results, wire.Result{
			Chunk: g.Chunk.ID, From: g.From, Of: g.Of, First: g.Chunk.First, Objects: g.Chunk.Count,
			Attempt: g.Attempt, Digest: g.Digest, Token: g.Token, Counts: slices.Repeat([]int{1}, g.Chunk.Count), Outputs: g.Chunk.Body,
		})
	}
	message := all.Encode()
	for saved := false; !saved && ctx.Err() == nil; {
		within, cancel := context.WithTimeout(ctx, within)
		reply, err := x.bus.Request(within, wire.VerbSave, message)
		cancel()
		if err == nil {
			answer, err := wire.DecodeSaveAnswer(reply)
			saved = err == nil && answer.Of(0) != wire.SaveBusy
		}
		if !saved && !pause(ctx, 100*time.Millisecond) {
			return
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held = nil
}
