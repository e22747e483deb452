package objectsink

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chunkline/chunkline/internal/bucket/buckettest"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

func TestMemoryIsASink(t *testing.T) {
	t.Parallel()
	m := newMemory()
	sinktest.Run(t, func(_ *testing.T, where, job string) (saver.Sink, error) {
		o := testSettings
		o.prefix = strings.Trim(where, "/") + "/"
		s, err := openIn(t.Context(), m, o, job, Options{})
		if err != nil {
			return nil, err
		}
		return s, nil
	})
}

// An entry may have more records than are read of it at first.
func TestManyPieces(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := openTest(t, m)
	s.o.size = 1 << 20
	claim(t, s, "f1")
	all := sinktest.Chain("one", slices.Repeat([][]int{{1, -1}}, 5000)...)
	if _, err := s.Commit(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if l, err := s.read(t.Context(), 3); err != nil || l.head.records <= headRead {
		t.Fatalf("the records have %d bytes, %v: too few for this test", l.head.records, err)
	}
	again := openTest(t, m)
	again.o.size = 1 << 20
	if again.Summary() != s.Summary() {
		t.Errorf("summary is %+v, want %+v", again.Summary(), s.Summary())
	}
	finish(t, again, m, all)
	if _, err := s.Commit(t.Context(), slices.Repeat(all[:1], maxPieces+1)); !errors.Is(err, sink.ErrInvalid) {
		t.Errorf("commit of too many: %v, want ErrInvalid", err)
	}
}

func TestS3IsASink(t *testing.T) {
	buckettest.StartS3(t, nil)
	sinktest.Run(t, func(_ *testing.T, where, job string) (saver.Sink, error) {
		s, err := Open(t.Context(), "s3://data"+where+"?format=jsonl.zst", job, Options{})
		if err != nil {
			return nil, err
		}
		return s, nil
	})
}

// TestKindsAreSinks runs the suite with each kind of object storage that has a stand-in of the tests' own.
func TestKindsAreSinks(t *testing.T) {
	for _, kind := range buckettest.Kinds {
		t.Run(strings.TrimSuffix(kind.Scheme, "://"), func(t *testing.T) {
			kind.Start(t, nil)
			sinktest.Run(t, func(_ *testing.T, where, job string) (saver.Sink, error) {
				s, err := Open(t.Context(), kind.Scheme+"data"+where+"?format=jsonl.zst", job, Options{})
				if err != nil {
					return nil, err
				}
				return s, nil
			})
		})
	}
}

// A connection that breaks off after the server has stored an entry hides the answer. The client repeats the request,
// which the server refuses; the sink finds its own entry.
func TestAnswerIsLost(t *testing.T) {
	t.Run("s3", func(t *testing.T) {
		checkLostAnswers(t, "s3://", func(wrap func(http.Handler) http.Handler) { buckettest.StartS3(t, wrap) })
	})
	for _, kind := range buckettest.Kinds {
		t.Run(strings.TrimSuffix(kind.Scheme, "://"), func(t *testing.T) {
			checkLostAnswers(t, kind.Scheme, func(wrap func(http.Handler) http.Handler) { kind.Start(t, wrap) })
		})
	}
}

// checkLostAnswers hides every second answer to a write.
func checkLostAnswers(t *testing.T, scheme string, start func(wrap func(http.Handler) http.Handler)) {
	var lost atomic.Int32
	start(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPut && r.Method != http.MethodPost || lost.Add(1)%2 == 0 {
				h.ServeHTTP(w, r)
				return
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
	})
	s, err := Open(t.Context(), scheme+"data/out", sinktest.Job, Options{})
	if err != nil {
		t.Fatal(err)
	}
	claim(t, s, "f1")
	all := sinktest.Chain("one", []int{1, -1}, []int{2})
	commit(t, s, all[:1], sink.Committed)
	commit(t, s, all, sink.Duplicate, sink.Committed)
	if _, err := s.Finish(t.Context(), 2, 3); err != nil {
		t.Error(err)
	}
	if n := s.state.Load().number; n != 6 { // made, claimed, two commits, and Finish has begun and ended
		t.Errorf("the log has %d entries, want 6", n)
	}
	if lost.Load() < 12 {
		t.Errorf("%d requests, so not each first answer was lost", lost.Load())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
