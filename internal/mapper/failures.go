package mapper

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
)

// failures collects what heartbeats report about the objects of pieces in work. A piece of slow objects takes hours, so
// its result would show too late that all of them fail.
type failures struct {
	answered atomic.Bool   // the transform has answered an object
	retries  atomic.Uint64 // tries of objects after their first ones, since the process started

	mu         sync.Mutex
	unanswered int                            // guarded by mu; objects without an answer in time, as long as the transform has never answered
	notice     string                         // guarded by mu; for people, until the transform has answered
	failed     map[chunk.Piece]*failedObjects // guarded by mu; of pieces in work
}

// failedObjects is the failed objects of one piece, by their place in it.
type failedObjects struct {
	objects map[int]bool
	reason  string // of the last one
}

func newFailures() *failures { return &failures{failed: map[chunk.Piece]*failedObjects{}} }

// restart forgets whether the previous transform has answered.
func (f *failures) restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answered.Store(false)
	f.unanswered, f.notice = 0, ""
}

// warn sets the notice about a transform that has not answered yet.
func (f *failures) warn(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.answered.Load() {
		f.notice = text
	}
}

// recorder returns a function that records the outcome of each object of a piece. One goroutine calls it, and calls it
// again for an object that is tried again.
func (f *failures) recorder(id chunk.Piece) func(index int, failed *transform.Failure) {
	some := false
	return func(index int, failed *transform.Failure) {
		if failed == nil && !some && f.answered.Load() {
			return // the common case takes no lock
		}
		some = some || failed != nil
		f.mu.Lock()
		defer f.mu.Unlock()
		f.record(id, index, failed)
		f.noteAnswer(failed)
	}
}

// record stores whether an object has failed. The caller holds mu.
func (f *failures) record(id chunk.Piece, index int, failed *transform.Failure) {
	of := f.failed[id]
	switch {
	case failed == nil && of != nil:
		delete(of.objects, index)
	case failed == nil:
	case of == nil:
		f.failed[id] = &failedObjects{objects: map[int]bool{index: true}, reason: failed.Err}
	default:
		of.objects[index], of.reason = true, failed.Err
	}
}

// noteAnswer records whether the transform has answered. The caller holds mu.
func (f *failures) noteAnswer(failed *transform.Failure) {
	switch {
	case f.answered.Load():
	case failed == nil || !failed.Late:
		f.answered.Store(true)
		f.unanswered, f.notice = 0, ""
	default:
		f.unanswered = min(f.unanswered+1, wire.MaxUnanswered)
		f.notice = cmp.Or(f.notice, failed.Err)
	}
}

// forget drops a piece that is no longer in work.
func (f *failures) forget(id chunk.Piece) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.failed, id)
}

// addTo writes the failures into a heartbeat. It names the chunk of the piece in work with the most failed objects.
func (f *failures) addTo(b *wire.Beat) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.Unanswered, b.Notice, b.Retries = f.unanswered, f.notice, f.retries.Load()
	for _, id := range slices.SortedFunc(maps.Keys(f.failed), chunk.Piece.Compare) {
		if of := f.failed[id]; len(of.objects) > 0 && (b.Failed == nil || len(of.objects) > b.Failed.Objects) {
			b.Failed, b.FailedReason = &wire.Failed{Chunk: id.Chunk, Objects: len(of.objects)}, of.reason
		}
	}
}
