package sinktest

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
)

// A Replacer is what Replace needs of a sink.
type Replacer interface {
	Records(ctx context.Context) iter.Seq2[sink.Record, error]
	Replace(ctx context.Context, old sink.Record, result sink.Result) error
}

// Replace replaces the committed result of a piece, whatever it is.
func Replace(t *testing.T, s Replacer, result sink.Result) error {
	return s.Replace(t.Context(), recordOf(t, s, result), result)
}

// recordOf returns the committed record of a result's piece, or that of the result itself if none can be read.
func recordOf(t *testing.T, s Replacer, result sink.Result) sink.Record {
	for r, err := range s.Records(t.Context()) {
		if err == nil && r.Chunk == result.Chunk && r.From == result.From {
			return r
		}
	}
	return sink.RecordOf(&result)
}

// replaces are the tests of results that replace others.
var replaces = map[string]func(*harness){
	"a result made from an old record replaces nothing": func(h *harness) {
		t := h.t
		s := h.Sink.(interface {
			Replacer
			Redo(ctx context.Context, version string) (sink.Redone, error)
		})
		h.claim(Plan("a"), "f1")
		first, retried, again := Result(0, 0, "first", 1, -1), Result(0, 0, "retried", 1, 1), Result(0, 0, "again", 1, 1)
		h.commit([]sink.Result{first}, sink.Committed)
		old := recordOf(t, s, first)
		wantChanged := func(after string) {
			t.Helper()
			if err := s.Replace(t.Context(), old, retried); !errors.Is(err, sink.ErrChanged) {
				t.Errorf("replace after %s: %v, want ErrChanged", after, err)
			}
		}
		if _, err := s.Redo(t.Context(), first.Version); err != nil {
			t.Fatal(err)
		}
		wantChanged("redo")
		again.Version = "v2"
		h.commit([]sink.Result{again}, sink.Committed)
		wantChanged("redo and another mapping")
		h.wantFinish(again)
		old = recordOf(t, s, again)
		if err := s.Replace(t.Context(), old, first); err != nil {
			t.Fatal(err)
		}
		wantChanged("another Replace")
		h.wantFinish(first)
	},
}
