package fetcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// Errors of the queries below, which the live page makes in addition to the status. The coordinator answers them
// between two events; the saver answers those about dead letters.
var (
	ErrNotRunning = errors.New("the fetcher does not run the job: it waits for the saver, or has ended")
	ErrNoChunk    = errors.New("no such chunk, or not read yet")
)

// queryTimeout bounds how long a query waits for the coordinator.
const queryTimeout = 2 * time.Second

// onCoordinator runs do in the coordinator's goroutine, and waits until it has returned.
func (f *Fetcher) onCoordinator(ctx context.Context, do func(*coordinator)) error {
	if !f.serving.Load() {
		return ErrNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	done := make(chan struct{})
	f.post(ctx, func(c *coordinator) { do(c); close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotRunning, ctx.Err())
	}
}

// Map counts the chunks with from <= ID < to by state, in at most this many cells of equal size. If to is 0, it counts
// all chunks, including those that are only estimated.
func (f *Fetcher) Map(ctx context.Context, from, to chunk.ID, cells int) (m report.Map, err error) {
	err = f.onCoordinator(ctx, func(c *coordinator) {
		m = report.Map{From: from, Total: c.expected()}
		if to == 0 || to > chunk.ID(m.Total) {
			to = chunk.ID(m.Total)
		}
		span := uint64(max(to, from+1) - from)
		m.Each = int((span + uint64(cells) - 1) / uint64(cells))
		for _, c := range c.ledger.Map(from, m.Each, int((span+uint64(m.Each)-1)/uint64(m.Each))) {
			m.Cells = append(m.Cells, report.Cell{Ready: c.Ready, InFlight: c.InFlight, Saved: c.Saved, Dead: c.Dead, Share: c.Share})
		}
	})
	return m, err
}

// expected returns how many chunks the job has. It is an estimate until the source is read.
func (c *coordinator) expected() uint64 {
	added := uint64(c.ledger.Counts().Added)
	if read, total := c.f.source.Progress(); !c.cut && read > 0 && total > read {
		return max(added, uint64(float64(added)*float64(total)/float64(read)))
	}
	return added
}

// Chunk returns the state of a chunk, or ErrNoChunk.
func (f *Fetcher) Chunk(ctx context.Context, id chunk.ID) (found report.Chunk, err error) {
	there := false
	err = f.onCoordinator(ctx, func(c *coordinator) {
		var state ledger.State
		var pieces []ledger.View
		if state, pieces, there = c.ledger.Look(time.Now(), id); !there {
			return
		}
		found = report.Chunk{Chunk: id, State: strings.ReplaceAll(state.String(), " ", "_")}
		for _, v := range pieces {
			found.Attempt, found.Seconds = max(found.Attempt, v.Attempt), max(found.Seconds, v.For.Seconds())
			found.Backup = found.Backup || v.Backup
			found.Mappers = c.addNames(found.Mappers, v.Mappers)
			found.Lost = c.addNames(found.Lost, v.Lost)
		}
		if h := c.held[id]; h != nil {
			found.First, found.Objects, found.Bytes = h.first, h.count, h.bytes
		}
	})
	if err == nil && !there {
		err = fmt.Errorf("%w: %d", ErrNoChunk, id)
	}
	return found, err
}

// addNames adds the names of mappers that are not in the list.
func (c *coordinator) addNames(names, ids []string) []string {
	for _, id := range ids {
		if name := c.nameOf(id); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// History returns the progress of the job since this fetcher started.
func (f *Fetcher) History(ctx context.Context) (h report.History, err error) {
	err = f.onCoordinator(ctx, func(c *coordinator) {
		h = c.history.History()
	})
	return h, err
}

// Dead asks the saver for dead letters of chunks with ID < below, the newest chunks first.
func (f *Fetcher) Dead(ctx context.Context, below chunk.ID, limit int) (report.DeadPage, error) {
	if !f.serving.Load() {
		return report.DeadPage{}, ErrNotRunning
	}
	q := f.question(wire.SyncDead)
	q.From, q.Limit = below, limit
	answer, err := f.ask(ctx, q)
	switch {
	case err != nil:
		return report.DeadPage{}, err
	case answer.Status != wire.SyncOK || answer.Dead == nil:
		return report.DeadPage{}, refusal(answer)
	}
	return *answer.Dead, nil
}

// Control carries out an operator's order.
func (f *Fetcher) Control(ctx context.Context, order wire.Control) error {
	var refused error
	if err := f.onCoordinator(ctx, func(c *coordinator) { refused = c.obey(order) }); err != nil {
		return err
	}
	return refused
}
