package objectsink

import (
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// A commit does not wait for a download that hangs, even if it needs records of the same entry.
func TestCommitDuringDownload(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := openTest(t, m)
	claim(t, s, "f1")
	all := sinktest.Chain("", []int{1, -1}, []int{1})
	commit(t, s, all[:1], sink.Committed)
	number := s.state.Load().number
	s.cache.take(number)
	interrupted := false
	m.reading = func(key string) error {
		if interrupted || key != s.entryKey(number) {
			return nil
		}
		interrupted = true
		if !s.cache.mu.TryLock() {
			t.Error("the cache is locked during a download, so a commit would wait for it")
			return nil
		}
		s.cache.mu.Unlock()
		commit(t, s, all, sink.Duplicate, sink.Committed)
		return nil
	}
	looked, err := s.Look(t.Context(), 0)
	if err != nil || len(looked) != 1 || string(looked[0].Outputs) != string(all[0].Outputs) || !interrupted {
		t.Errorf("look: %+v, %v", looked, err)
	}
}
