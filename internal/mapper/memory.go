package mapper

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// memoryPart is the part of the process's memory limit that chunks and results may take: 64 MiB of 512 MiB. jq, or
	// a program beside the mapper, needs the rest.
	memoryPart = 8

	// itemCost is the memory that a chunk in work, or a result, takes in addition to its bytes: a goroutine, its
	// context, its timers, its headers and its place in the lists. A result without outputs takes it as well.
	itemCost = 16 << 10
)

// memory bounds the bytes of chunks in work and of results that wait for the saver. A worker may ask for a chunk while
// there is memory for one like the last. While nothing else is in memory it may always ask, or an object that is larger
// than the bound would never be mapped.
type memory struct {
	most int64

	mu   sync.Mutex
	used int64         // guarded by mu
	last int64         // guarded by mu; the memory that the latest chunk took
	more chan struct{} // guarded by mu; closed when used decreases
}

func newMemory(most int64) *memory {
	return &memory{most: most, last: itemCost, more: make(chan struct{})}
}

// reserve reserves memory for one chunk. If there is too little, it returns a channel that is closed when some has
// become free.
func (m *memory) reserve() (taken int64, more <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used > 0 && m.last > m.most-m.used {
		return 0, m.more
	}
	m.used += m.last
	return m.last, nil
}

// use replaces a reservation by the memory that the chunk takes: its bytes, and as many again for its outputs.
func (m *memory) use(reserved int64, body int) int64 {
	cost := int64(2*body + itemCost)
	m.mu.Lock()
	m.last = cost
	m.mu.Unlock()
	return m.resize(reserved, cost)
}

// resize changes the memory that a chunk or a result takes from before to after, and returns after. It never waits,
// even beyond the bound, because the bytes are in memory already.
func (m *memory) resize(before, after int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used += after - before
	if after < before {
		close(m.more)
		m.more = make(chan struct{})
	}
	return after
}

// errNoMemory is the reason why a mapper asks for no more chunks.
var errNoMemory = errors.New("results that wait for the saver fill the memory (MEMORY_BYTES): check that the saver runs and that its disk has space")

// reserve waits until there is memory for a chunk. An error means that ctx ended.
func (m *Mapper) reserve(ctx context.Context) (int64, error) {
	for ctx.Err() == nil {
		taken, more := m.memory.reserve()
		if more == nil {
			m.outages.memory.Note(nil)
			return taken, nil
		}
		if m.waiting.Load() > 0 { // else only the chunks of other workers fill the memory
			m.outages.memory.Note(errNoMemory)
		}
		again := time.NewTimer(beatInterval) // an outage is logged only if it is noted again after it has lasted for a while
		select {
		case <-more:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
	return 0, ctx.Err()
}
