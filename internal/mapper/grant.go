package mapper

import (
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
)

const (
	// grantPatience is how long a worker may take for a grant of several pieces before it gives back those that it has
	// not begun, and sends the results that wait. The fetcher sizes such a grant to take 25 ms, so the objects are much
	// slower than before, or the machine is.
	grantPatience = 2 * time.Second

	// maxBatch bounds the bytes of results that are sent together. The next result may exceed it.
	maxBatch = 256 << 10
)

// A batch is pieces that were mapped, and their results.
type batch struct {
	pieces  []*piece
	results []wire.Result
	bytes   int
}

// A grant is the work of one answer of the fetcher. The worker goes through its pieces. A timer ends it when that takes
// much longer than the fetcher expected.
type grant struct {
	mapper *Mapper
	send   func(batch)

	mu    sync.Mutex
	left  []*piece // guarded by mu; not begun
	batch batch    // guarded by mu; finished and not sent
	late  bool     // guarded by mu; results are sent one by one
}

// endAfter ends the grant in the given time, unless stop is called before. stop waits for an end that is under way.
func (g *grant) endAfter(d time.Duration) (stop func()) {
	ended := make(chan struct{})
	timer := time.AfterFunc(d, func() { defer close(ended); g.end() })
	return func() {
		if !timer.Stop() {
			<-ended
		}
	}
}

// begin returns the next piece, or nil if none is left.
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

// finish adds a result. It sends the results that wait if this is the last one, or if they fill a batch.
func (g *grant) finish(p *piece, r wire.Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.batch.pieces, g.batch.results = append(g.batch.pieces, p), append(g.batch.results, r)
	g.batch.bytes += len(r.Outputs) + len(r.Dead)
	if g.late || len(g.left) == 0 || g.batch.bytes >= maxBatch {
		g.flush()
	}
}

// end sends the results that wait, and gives back the pieces that were not begun, so that idle mappers may have them.
// The worker may still map a piece.
func (g *grant) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.late = true
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
