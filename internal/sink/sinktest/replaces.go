package sinktest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
)

// A Replacer has the methods of a sink that Replace needs.
type Replacer interface {
	Records(ctx context.Context) iter.Seq2[sink.Record, error]
	Replace(ctx context.Context, old sink.Record, results ...sink.Result) error
}

// A redoer is a Replacer that can redo.
type redoer interface {
	Replacer
	Redo(ctx context.Context, version string) (sink.Redone, error)
}

// Replace replaces the committed result of a piece without checking which result it is.
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
		s := h.Sink.(redoer)
		h.claim(Plan("a"), "f1")
		first, retried, again := Result(0, 0, "first", 1, -1), Result(0, 0, "retried", 1, 1), Result(0, 0, "again", 1, 1)
		h.commit([]sink.Result{first}, sink.Committed)
		old := recordOf(h.T, s, first)
		wantChanged := func(after string) {
			h.Helper()
			if err := s.Replace(h.Context(), old, retried); !errors.Is(err, sink.ErrChanged) {
				h.Errorf("replace after %s: %v, want ErrChanged", after, err)
			}
		}
		if _, err := s.Redo(h.Context(), first.Version); err != nil {
			h.Fatal(err)
		}
		wantChanged("redo")
		again.Version = "v2"
		h.commit([]sink.Result{again}, sink.Committed)
		wantChanged("redo and another mapping")
		h.wantFinish(again)
		old = recordOf(h.T, s, again)
		if err := s.Replace(h.Context(), old, first); err != nil {
			h.Fatal(err)
		}
		wantChanged("another Replace")
		h.wantFinish(first)
	},

	"a result is replaced by results of two versions, of which redo removes one": func(h *harness) {
		s := h.Sink.(redoer)
		h.claim(Plan("a"), "f1")
		all := Chain("old", []int{1, -1, 2, -1, 1}, []int{1})
		h.commit(all, sink.Committed, sink.Committed)
		h.wantFinish(all...)
		mended := Pieces(Result(0, 0, "new", 1, 1, 2, -1, 1), 1, 1, 1, 1)
		for i, kept := range Pieces(all[0], 1, 1, 1, 1) {
			if i%2 == 0 {
				mended[i] = kept
			} else {
				mended[i].Version, mended[i].Transform, mended[i].Attempt = "v2", "t2", 2
			}
		}
		old := recordOf(h.T, s, all[0])
		for what, wrong := range map[string][]sink.Result{
			"too few": mended[:4], "too many": append(slices.Clone(mended), all[1]), "a gap": append(slices.Clone(mended[:2]), mended[3:]...), "none": nil,
			"another order": {mended[1], mended[0], mended[2], mended[3], mended[4]},
		} {
			if err := s.Replace(h.Context(), old, wrong...); !errors.Is(err, sink.ErrConflict) {
				h.Errorf("replace by %s: %v, want ErrConflict", what, err)
			}
		}
		h.wantFinish(all...)
		if err := s.Replace(h.Context(), old, mended...); err != nil {
			h.Fatal(err)
		}
		want := append(slices.Clone(mended), all[1])
		h.wantEntries(want...)
		h.wantFinish(want...)
		h.reopen()
		h.wantEntries(want...)
		s = h.Sink.(redoer)
		done, err := s.Redo(h.Context(), "v2")
		if want := (sink.Redone{Chunks: 1, Objects: 2, Outputs: 1, Dead: 1}); err != nil || done != want {
			h.Errorf("redo of v2: %+v, %v; want %+v", done, err, want)
		}
		h.wantEntries(mended[0], mended[2], mended[4], all[1])
		done, err = s.Redo(h.Context(), "v1")
		if want := (sink.Redone{Chunks: 2, Objects: 4, Outputs: 5}); err != nil || done != want {
			h.Errorf("redo of v1: %+v, %v; want %+v", done, err, want)
		}
		h.wantEntries()
	},
}
