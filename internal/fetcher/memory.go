package fetcher

import "sync/atomic"

// memoryPart is the part of the process's memory that chunks may take: 64 MiB of 256 MiB.
// Reading, sending and the garbage collector take as much again, and more.
const memoryPart = 4

// A memory bounds the bytes of chunks that the fetcher holds, however many mappers there
// are and however large the chunks. A half is for chunks that wait to go out, a half for
// those on their way: read again, encoded, and kept by the bus until their mapper has
// fetched them. Chunks of a source that cannot be read twice are kept until they are
// saved: they may take three quarters, also while they are on their way, and a quarter
// more for a shadow run. A chunk that is larger than that goes alone.
type memory struct {
	most    int64
	out     atomic.Int64 // bytes handed to the senders and not yet to the bus
	waiting atomic.Bool  // the desk waits for room
}

// fills says whether no more is to be read from the source.
func (m *memory) fills(ahead, kept int) bool {
	return int64(ahead) >= m.most/2 || int64(kept) >= m.most/4*3
}

// mayGoOut says whether there is room for one more chunk, of at most so many bytes, on its
// way. A mapper that asks waits as long. It must be asked before the lease: a chunk that
// is on the books and not sent costs an attempt.
func (f *Fetcher) mayGoOut(largest int) bool {
	may := func() bool {
		out := f.memory.out.Load() + int64(f.bus.Kept())
		return out == 0 || out+int64(largest) <= f.memory.most/2
	}
	if may() {
		return true
	}
	f.memory.waiting.Store(true)
	return may() // what was freed before that has woken nobody
}

// wake lets a desk that waits for room turn. It waits for nobody.
func (f *Fetcher) wake() {
	if !f.memory.waiting.Swap(false) {
		return
	}
	select {
	case f.events <- func(*coordinator) {}:
	default: // it has something to do, and turns after that
	}
}
