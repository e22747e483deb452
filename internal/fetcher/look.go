package fetcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
)

// Errors of the questions below, which the live page asks beside the status. The coordinator
// answers them between two of its events, or the saver does.
var (
	ErrNotRunning = errors.New("the fetcher does not run the job: it waits for the saver, or has ended")
	ErrNoChunk    = errors.New("no such chunk, or not read yet")
)

const lookTimeout = 2 * time.Second

// onCoordinator runs do in the coordinator, and waits for it.
func (f *Fetcher) onCoordinator(ctx context.Context, do func(*coordinator)) error {
	if !f.serving.Load() {
		return ErrNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	done := make(chan struct{})
	f.post(ctx, func(d *coordinator) { do(d); close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotRunning, ctx.Err())
	}
}

// A Map is the chunks of a part of the job, by state.
type Map struct {
	From  chunk.ID      `json:"from"`
	Each  int           `json:"each"`  // chunks of a cell
	Total uint64        `json:"total"` // chunks of the job; as long as the source is not read, an estimate, and 0 if there is none
	Cells []ledger.Cell `json:"cells"`
}

// Map counts the chunks with from <= ID < to in at most so many cells, of equal size.
// To 0 means all there are, those estimated included.
func (f *Fetcher) Map(ctx context.Context, from, to chunk.ID, cells int) (m Map, err error) {
	err = f.onCoordinator(ctx, func(d *coordinator) {
		m = Map{From: from, Total: d.expected()}
		if to == 0 || to > chunk.ID(m.Total) {
			to = chunk.ID(m.Total)
		}
		span := uint64(max(to, from+1) - from)
		m.Each = int((span + uint64(cells) - 1) / uint64(cells))
		m.Cells = d.ledger.Map(from, m.Each, int((span+uint64(m.Each)-1)/uint64(m.Each)))
	})
	return m, err
}

// expected is how many chunks the job has, as far as can be told.
func (d *coordinator) expected() uint64 {
	added := uint64(d.ledger.Counts().Added)
	if read, total := d.f.source.Progress(); !d.cut && read > 0 && total > read {
		return max(added, uint64(float64(added)*float64(total)/float64(read)))
	}
	return added
}

// A Chunk is what is known of a chunk.
type Chunk struct {
	Chunk   chunk.ID `json:"chunk"`
	State   string   `json:"state"`             // ready, in_flight, saved, dead
	First   uint64   `json:"first,omitempty"`   // ordinal of its first object
	Objects int      `json:"objects,omitempty"` // 0: it is saved, and not known any more
	Bytes   int      `json:"bytes,omitempty"`
	Attempt int      `json:"attempt,omitempty"` // under way, or the next one
	Seconds float64  `json:"seconds,omitempty"` // in flight
	Mappers []string `json:"mappers,omitempty"` // names of who holds it; the backup attempt's last
	Backup  bool     `json:"backup,omitempty"`  // one of them is a backup attempt
	Lost    []string `json:"lost,omitempty"`    // names of mappers that vanished with it
}

// Chunk tells what is known of a chunk; ErrNoChunk.
func (f *Fetcher) Chunk(ctx context.Context, id chunk.ID) (c Chunk, err error) {
	there := false
	err = f.onCoordinator(ctx, func(d *coordinator) {
		var v ledger.View
		if v, there = d.ledger.Look(time.Now(), id); !there {
			return
		}
		c = Chunk{Chunk: id, State: strings.ReplaceAll(v.State.String(), " ", "_"), Attempt: v.Attempt, Seconds: v.For.Seconds(), Backup: v.Backup}
		for _, m := range v.Mappers {
			c.Mappers = append(c.Mappers, d.nameOf(m))
		}
		for _, m := range v.Lost {
			c.Lost = append(c.Lost, d.nameOf(m))
		}
		if h := d.held[id]; h != nil {
			c.First, c.Objects, c.Bytes = h.first, h.count, h.bytes
		}
	})
	if err == nil && !there {
		err = fmt.Errorf("%w: %d", ErrNoChunk, id)
	}
	return c, err
}

// A History is how many objects were saved by a time.
type History struct {
	Begin   time.Time `json:"begin,omitzero"` // not there before the first point
	Seconds float64   `json:"seconds"`        // between two points
	Objects []uint64  `json:"objects"`        // saved at begin + i × seconds
}

// History tells how the job went since this fetcher runs.
func (f *Fetcher) History(ctx context.Context) (h History, err error) {
	err = f.onCoordinator(ctx, func(d *coordinator) {
		h = History{Begin: d.history.begin, Seconds: d.history.every.Seconds(), Objects: append([]uint64{}, d.history.points...)}
	})
	return h, err
}

// Dead asks the saver for dead letters of chunks below one, the newest chunks first.
func (f *Fetcher) Dead(ctx context.Context, below chunk.ID, limit int) (bus.DeadPage, error) {
	if !f.serving.Load() {
		return bus.DeadPage{}, ErrNotRunning
	}
	answer, err := f.saver.ask(ctx, bus.Sync{Op: bus.SyncDead, Plan: f.planID, Fetcher: f.bus.ID(), Epoch: f.grant.epoch, From: below, Limit: limit})
	switch {
	case err != nil:
		return bus.DeadPage{}, err
	case answer.Status != bus.SyncOK || answer.Dead == nil:
		return bus.DeadPage{}, refusal(answer)
	}
	return *answer.Dead, nil
}

// Control carries out an operator's order.
func (f *Fetcher) Control(ctx context.Context, c bus.Control) error {
	var refused error
	if err := f.onCoordinator(ctx, func(d *coordinator) { refused = d.obey(c) }); err != nil {
		return err
	}
	return refused
}
