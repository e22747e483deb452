package mapper

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

// worker asks for chunks and maps them until asking ends, then waits until its
// results are saved. When work ends it drops the chunk that it maps and the results that
// are not saved.
func (m *Mapper) worker(asking, work context.Context, index int) error {
	saving := new(errgroup.Group)
	var tool tool
	err := m.workLoop(asking, work, index, &tool, saving)
	return errors.Join(err, saving.Wait(), tool.close())
}

func (m *Mapper) workLoop(asking, work context.Context, index int, tool *tool, saving *errgroup.Group) error {
	pause := m.backoff(uint64(index))
	for {
		reserved, err := m.reserve(asking)
		if err != nil {
			return nil //nolint:nilerr // asking has ended, which is no failure
		}
		ctx, cancel := context.WithCancelCause(work)
		begin := time.Now()
		task := m.task.Load()
		hello := m.hellos.next() // before asking, so that a hello that comes meanwhile ends the pause
		got, verdict := m.next(asking, index, task.self, cancel)
		if verdict != haveWork {
			m.memory.becomes(reserved, 0)
		}
		switch verdict {
		case haveWork:
			if task.self.Transform == "" { // no correct fetcher gives this mapper a chunk; the next heartbeat tells it that the chunk is not held
				m.state.release(got)
				cancel(nil)
				sleep(asking, pause.next(), hello)
				continue
			}
			failpoint.Hit("mapper.chunk.taken")
			pause.reset()
			m.metrics.waited(time.Since(begin))
		case askAgain:
			cancel(nil)
			pause.reset()
			continue
		case askLater:
			cancel(nil)
			sleep(asking, pause.next(), hello)
			continue
		case jobDone:
			cancel(nil)
			sleep(asking, donePause, hello)
			continue
		}
		taken := m.memory.took(reserved, len(got.Chunk.Body))
		var save wire.Save
		if err = tool.fit(m, task); err == nil {
			save, err = m.mapChunk(ctx, tool, got)
		}
		if err != nil {
			m.state.release(got)
			m.memory.becomes(taken, 0)
			m.failures.ends(got.Chunk.ID)
			dropped := ctx.Err() != nil
			cancel(nil)
			if dropped {
				continue
			}
			return err
		}
		parcel := m.pack(save, time.Now())      //nolint:contextcheck // the parent of a span is in the message
		got.Chunk.Body, save = nil, wire.Save{} // during an outage of the saver only results stay in memory, not the chunks
		taken = m.memory.becomes(taken, parcel.cost())
		m.waiting.Add(1)
		saving.Go(func() error {
			defer cancel(nil)
			defer m.memory.becomes(taken, 0)
			defer m.waiting.Add(-1)
			defer m.state.release(got)
			m.save(ctx, parcel)
			m.failures.ends(got.Chunk.ID)
			return nil
		})
	}
}
