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

// signs is what the beats of a mapper say about the objects in work. A chunk of slow
// objects takes hours, and its result says too late that all of them fail.
type signs struct {
	answered   atomic.Bool // the transform has answered an object
	mu         sync.Mutex
	unanswered int                    // guarded by mu; objects without an answer in time, while there was no answer at all
	notice     string                 // guarded by mu; for people, until there is an answer
	failed     map[chunk.ID]*failures // guarded by mu; of chunks in work
}

// failures is the objects of a chunk that have failed, by index.
type failures struct {
	objects map[int]bool
	reason  string // of the last one
}

func newSigns() *signs { return &signs{failed: map[chunk.ID]*failures{}} }

// restart forgets what was noted of another transform.
func (s *signs) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered.Store(false)
	s.unanswered, s.notice = 0, ""
}

// warn notes what people are told about a program that has not answered yet.
func (s *signs) warn(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.answered.Load() {
		s.notice = text
	}
}

// of returns what notes how each object of a chunk went. It is called by one
// goroutine, and again for an object that is mapped again.
func (s *signs) of(id chunk.ID) func(index int, failed *transform.Failure) {
	some := false
	return func(index int, failed *transform.Failure) {
		if failed == nil && !some && s.answered.Load() {
			return // as most objects, without a lock
		}
		some = some || failed != nil
		s.mu.Lock()
		defer s.mu.Unlock()
		s.book(id, index, failed)
		s.listen(failed)
	}
}

// book notes whether an object has failed. The caller holds mu.
func (s *signs) book(id chunk.ID, index int, failed *transform.Failure) {
	f := s.failed[id]
	switch {
	case failed == nil && f != nil:
		delete(f.objects, index)
	case failed == nil:
	case f == nil:
		s.failed[id] = &failures{objects: map[int]bool{index: true}, reason: failed.Err}
	default:
		f.objects[index], f.reason = true, failed.Err
	}
}

// listen notes whether there was an answer. The caller holds mu.
func (s *signs) listen(failed *transform.Failure) {
	switch {
	case s.answered.Load():
	case failed == nil || !failed.Late:
		s.answered.Store(true)
		s.unanswered, s.notice = 0, ""
	default:
		s.unanswered = min(s.unanswered+1, wire.MaxUnanswered)
		s.notice = cmp.Or(s.notice, failed.Err)
	}
}

// ends notes that a chunk is no longer in work.
func (s *signs) ends(id chunk.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failed, id)
}

// tell writes the signs into a beat: of the chunks in work, the one of which most
// objects have failed.
func (s *signs) tell(b *wire.Beat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.Unanswered, b.Notice = s.unanswered, s.notice
	for _, id := range slices.Sorted(maps.Keys(s.failed)) {
		if f := s.failed[id]; len(f.objects) > 0 && (b.Failed == nil || len(f.objects) > b.Failed.Objects) {
			b.Failed, b.FailedReason = &wire.Failed{Chunk: id, Objects: len(f.objects)}, f.reason
		}
	}
}
