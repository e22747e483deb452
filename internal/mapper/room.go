package mapper

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// memoryPart is the part of the process's memory that chunks and results
	// may take: 64 MiB of 512 MiB. A program or jq runs beside.
	memoryPart = 8

	// itemCost is what a chunk in work or a result takes beside its bytes: a
	// goroutine, its context, its timers, its headers and its place in the
	// lists. A result without outputs takes it as well.
	itemCost = 16 << 10
)

// A room bounds the bytes of chunks in work and of results that wait for the
// saver. A worker asks for a chunk when there is room for one like the last;
// while nothing else is there it may always ask, or an object that is larger
// than the room would never be mapped.
type room struct {
	most int64

	mu   sync.Mutex
	used int64         // guarded by mu
	last int64         // guarded by mu; what the latest chunk took
	more chan struct{} // guarded by mu; closed when used becomes less
}

func newRoom(most int64) *room {
	return &room{most: most, last: itemCost, more: make(chan struct{})}
}

// reserve takes room for one chunk. If there is none it returns a channel that
// is closed when that may have changed.
func (r *room) reserve() (taken int64, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used > 0 && r.last > r.most-r.used {
		return 0, r.more
	}
	r.used += r.last
	return r.last, nil
}

// took turns what was reserved into what a chunk takes: its bytes, and as much
// again for its outputs.
func (r *room) took(reserved int64, body int) int64 {
	cost := int64(2*body + itemCost)
	r.mu.Lock()
	r.last = cost
	r.mu.Unlock()
	return r.becomes(reserved, cost)
}

// becomes replaces what something took before. It never waits: it is there already.
func (r *room) becomes(before, after int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used += after - before
	if after < before {
		close(r.more)
		r.more = make(chan struct{})
	}
	return after
}

// errNoRoom is why a mapper does not ask for chunks.
var errNoRoom = errors.New("results that wait for it fill the memory (MEMORY_BYTES): see whether it runs, and whether its disk is full")

// reserve waits until there is room for a chunk. An error means that ctx ended.
func (m *Mapper) reserve(ctx context.Context) (int64, error) {
	for ctx.Err() == nil {
		taken, more := m.room.reserve()
		if more == nil {
			m.peers.room.Note(nil)
			return taken, nil
		}
		if m.waiting.Load() > 0 { // else it is the other workers' chunks
			m.peers.room.Note(errNoRoom)
		}
		again := time.NewTimer(beatInterval) // a trouble is said when it has lasted
		select {
		case <-more:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
	return 0, ctx.Err()
}
