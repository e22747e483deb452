package mapper

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

// worker asks for work and maps it until asking ends, then waits until its results are saved. When work ends it drops
// the piece that it maps and the results that are not saved.
func (m *Mapper) worker(asking, work context.Context, index int) error {
	var saving sync.WaitGroup
	var own instance
	err := m.workLoop(asking, work, index, &own, &saving)
	saving.Wait()
	return errors.Join(err, own.close())
}

func (m *Mapper) workLoop(asking, work context.Context, index int, own *instance, saving *sync.WaitGroup) error {
	pause := m.backoff(uint64(index))
	var next *ahead // the request that the worker made while it mapped its last grant
	for {
		begin := time.Now()
		got, asked := next.take()
		if !asked {
			reserved, err := m.reserve(asking)
			if err != nil {
				return nil //nolint:nilerr // the end of ctx is not a failure
			}
			begin = time.Now()
			got = m.ask(asking, work, index, nextWait, reserved)
		}
		next = nil
		switch got.outcome {
		case haveWork:
			failpoint.Hit("mapper.chunk.taken")
			pause.reset()
			m.metrics.waiting.Observe(time.Since(begin).Seconds())
			next = m.askAhead(asking, work, index, got.pieces)
			err := m.mapGrant(work, got.task, own, saving, got.pieces)
			m.memory.resize(got.memory, 0)
			if err != nil {
				if unused, asked := next.take(); asked {
					m.decline(unused)
				}
				return err
			}
		case askAgain:
			pause.reset()
		case askLater:
			sleep(asking, pause.next(), got.hello)
		case jobDone:
			sleep(asking, donePause, got.hello)
		}
	}
}

// mapGrant maps the pieces of a grant, one after the other, and sends their results together. An error means that the
// transform itself is broken.
func (m *Mapper) mapGrant(work context.Context, task *task, own *instance, saving *sync.WaitGroup, pieces []*piece) error {
	g := &grant{mapper: m, left: pieces, send: func(b batch) {
		parcel := m.pack(work, task.self, b, time.Now())
		taken := m.memory.resize(0, parcel.cost())
		m.waiting.Add(1)
		saving.Go(func() {
			defer m.memory.resize(taken, 0)
			defer m.waiting.Add(-1)
			m.deliver(parcel)
		})
	}}
	if len(pieces) > 1 {
		defer g.endAfter(grantPatience)()
	}
	defer g.end()
	for {
		p := g.begin()
		if p == nil {
			return nil
		}
		var result wire.Result
		err := own.prepare(m, task)
		if err == nil {
			result, err = m.mapPiece(p, own) //nolint:contextcheck // the piece carries the parent of the span
		}
		if err == nil {
			g.finish(p, result)
			continue
		}
		dropped := p.ctx.Err() != nil
		m.state.release(p)
		m.failures.forget(p.Piece())
		if !dropped {
			return err
		}
	}
}
