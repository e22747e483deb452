package objectsink

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

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

// hanging is a store that may stop to answer reads.
type hanging struct {
	*memory

	hangs bool
}

func (h *hanging) Read(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, error) {
	if h.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.memory.Read(ctx, key, version, offset, length)
}

// A commit waits for a read of the log, or of a record, only as long as the saver's health check allows.
func TestCommitDuringOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &hanging{memory: newMemory()}
		s := openTest(t, store)
		claim(t, s, "f1")
		all := sinktest.Chain("", []int{1, -1}, []int{1})
		commit(t, s, all[:1], sink.Committed)
		s.cache.take(s.state.Load().number)
		store.hangs = true
		for what, test := range map[string]struct {
			do   func() error
			most time.Duration
		}{
			"refresh": {func() error { return s.Refresh(t.Context()) }, refreshTimeout},
			"commit":  {func() error { _, err := s.Commit(t.Context(), all); return err }, changeTimeout},
		} {
			begin := time.Now()
			if err := test.do(); !errors.Is(err, sink.ErrUnreachable) || time.Since(begin) > test.most {
				t.Errorf("%s: %v after %s, want ErrUnreachable after %s", what, err, time.Since(begin), test.most)
			}
		}
		store.hangs = false
		commit(t, s, all, sink.Duplicate, sink.Committed)
	})
}
