package mapper

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

// worker asks for work and maps it until asking ends, then waits until its
// results are saved. When work ends it drops the piece that it maps and the results that
// are not saved.
func (m *Mapper) worker(asking, work context.Context, index int) error {
	saving := new(errgroup.Group)
	var own instance
	err := m.workLoop(asking, work, index, &own, saving)
	return errors.Join(err, saving.Wait(), own.close())
}

func (m *Mapper) workLoop(asking, work context.Context, index int, own *instance, saving *errgroup.Group) error {
	pause := m.backoff(uint64(index))
	for {
		reserved, err := m.reserve(asking)
		if err != nil {
			return nil //nolint:nilerr // the end of ctx is not a failure
		}
		begin := time.Now()
		task := m.task.Load()
		hello := m.hellos.next() // before asking, so that a hello that comes meanwhile ends the pause
		pieces, outcome := m.next(asking, work, index, task.self)
		if outcome != haveWork {
			m.memory.resize(reserved, 0)
		}
		switch outcome {
		case haveWork:
			if task.self.Transform == "" { // no correct fetcher gives this mapper work; the next heartbeat shows that the pieces are not held
				m.giveBack(pieces)
				m.memory.resize(reserved, 0)
				sleep(asking, pause.next(), hello)
				continue
			}
			failpoint.Hit("mapper.chunk.taken")
			pause.reset()
			m.metrics.waited(time.Since(begin))
		case askAgain:
			pause.reset()
			continue
		case askLater:
			sleep(asking, pause.next(), hello)
			continue
		case jobDone:
			sleep(asking, donePause, hello)
			continue
		}
		taken := m.memory.use(reserved, sizeOf(pieces))
		err = m.mapGrant(work, task, own, saving, pieces)
		m.memory.resize(taken, 0)
		if err != nil {
			return err
		}
	}
}

// sizeOf returns the bytes of the pieces' objects.
func sizeOf(pieces []*piece) int {
	n := 0
	for _, p := range pieces {
		n += len(p.Chunk.Body)
	}
	return n
}

// giveBack gives up pieces that were not begun. The next list that the fetcher gets shows
// that this mapper does not hold them.
func (m *Mapper) giveBack(pieces []*piece) {
	for _, p := range pieces {
		m.state.release(p)
	}
}

const (
	// grantPatience is how long a worker may take for a grant of several pieces before
	// it gives back those that it has not begun, and sends the results that
	// wait. The fetcher sizes such a grant to take 25 ms, so the objects are much slower than before, or the
	// machine is.
	grantPatience = 2 * time.Second

	// maxBatch bounds the bytes of results that travel together. The next result may exceed it.
	maxBatch = 256 << 10
)

// mapGrant maps the pieces of a grant, one after the other, and sends their results together. An error means
// that the transform itself is broken.
func (m *Mapper) mapGrant(work context.Context, task *task, own *instance, saving *errgroup.Group, pieces []*piece) error {
	g := &grant{mapper: m, left: pieces, send: func(b batch) {
		parcel := m.pack(work, task.self, b, time.Now())
		taken := m.memory.resize(0, parcel.cost())
		m.waiting.Add(1)
		saving.Go(func() error {
			defer m.memory.resize(taken, 0)
			defer m.waiting.Add(-1)
			m.deliver(parcel)
			return nil
		})
	}}
	if len(pieces) > 1 {
		defer g.after(grantPatience)()
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

// A batch is pieces that were mapped, and their results.
type batch struct {
	pieces  []*piece
	results []wire.Result
	bytes   int
}

// A grant is the work of one answer of the fetcher. The worker goes through its pieces.
// A timer hurries it when that takes much longer than the fetcher expected.
type grant struct {
	mapper *Mapper
	send   func(batch)

	mu    sync.Mutex
	left  []*piece // guarded by mu; not begun
	batch batch    // guarded by mu; finished and not sent
	late  bool     // guarded by mu; results are sent one by one
}

// after hurries the grant in the given time, unless stop is called before. stop waits
// for a hurry that is under way.
func (g *grant) after(d time.Duration) (stop func()) {
	hurried := make(chan struct{})
	timer := time.AfterFunc(d, func() { defer close(hurried); g.hurry() })
	return func() {
		if !timer.Stop() {
			<-hurried
		}
	}
}

// hurry gives back what was not begun, so that idle mappers may have it.
func (g *grant) hurry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.late = true
	g.mapper.giveBack(g.left)
	g.left = nil
	g.flush()
}

// begin returns the next piece; nil if none is left.
func (g *grant) begin() *piece {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.left) > 0 {
		p := g.left[0]
		g.left = g.left[1:]
		if p.ctx.Err() == nil {
			return p
		}
		g.mapper.state.release(p) // it was dropped before it was begun
	}
	return nil
}

// finish adds a result, and sends what waits if it is the last one or enough.
func (g *grant) finish(p *piece, r wire.Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.batch.pieces, g.batch.results = append(g.batch.pieces, p), append(g.batch.results, r)
	g.batch.bytes += len(r.Outputs) + len(r.Dead)
	if g.late || len(g.left) == 0 || g.batch.bytes >= maxBatch {
		g.flush()
	}
}

// end sends the results that wait, and gives back what was not begun.
func (g *grant) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mapper.giveBack(g.left)
	g.left = nil
	g.flush()
}

// flush sends the results that wait. The caller holds mu.
func (g *grant) flush() {
	if len(g.batch.pieces) > 0 {
		g.send(g.batch)
		g.batch = batch{}
	}
}
