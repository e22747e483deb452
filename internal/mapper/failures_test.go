package mapper

import (
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestFailures_unanswered: beats count the first objects without an answer and repeat what
// the program is reported, until there is an answer, even one that is an error.
func TestFailures_unanswered(t *testing.T) {
	t.Parallel()
	late, failed := &transform.Failure{Late: true, Err: "no result"}, &transform.Failure{Err: "error"}
	for name, c := range map[string]struct {
		warned bool
		went   []*transform.Failure
		count  int
		notice string
	}{
		"never an answer": {went: []*transform.Failure{late, late, late}, count: 3, notice: "no result"},
		"and a warning":   {warned: true, went: []*transform.Failure{late}, count: 1, notice: "it does not flush"},
		"an answer":       {warned: true, went: []*transform.Failure{late, nil, late}},
		"an error":        {warned: true, went: []*transform.Failure{failed, late}},
	} {
		s := newFailures()
		if c.warned {
			s.warn("it does not flush")
		}
		note := s.recorder(chunk.Piece{Chunk: 7, To: 9})
		for i, f := range c.went {
			note(i, f)
		}
		var b wire.Beat
		if s.addTo(&b); b.Unanswered != c.count || b.Notice != c.notice {
			t.Errorf("%s: a heartbeat has %d unanswered objects and the notice %q, want %d and %q", name, b.Unanswered, b.Notice, c.count, c.notice)
		}
	}
}

// TestFailures_failed: beats name the chunk in work of which most objects have failed. An
// object that is mapped again counts once, and not if it is mapped in the end.
func TestFailures_failed(t *testing.T) {
	t.Parallel()
	s := newFailures()
	of1, of2 := s.recorder(chunk.Piece{Chunk: 1, To: 9}), s.recorder(chunk.Piece{Chunk: 2, To: 9})
	fails := func(text string) *transform.Failure { return &transform.Failure{Err: text} }
	want := func(what string, want *wire.Failed, reason string) {
		t.Helper()
		var b wire.Beat
		s.addTo(&b)
		if (b.Failed == nil) != (want == nil) || want != nil && (*b.Failed != *want || b.FailedReason != reason) {
			t.Errorf("%s: a heartbeat has the failed objects %+v and the reason %q, want %+v and %q", what, b.Failed, b.FailedReason, want, reason)
		}
	}
	want("nothing has failed", nil, "")
	of1(0, fails("a"))
	of2(0, fails("b"))
	of2(1, fails("c"))
	want("two of chunk 2", &wire.Failed{Chunk: 2, Objects: 2}, "c")
	of2(1, fails("c again"))
	want("the second once more", &wire.Failed{Chunk: 2, Objects: 2}, "c again")
	of2(0, nil)
	of2(1, nil)
	want("chunk 2 is mapped in the end", &wire.Failed{Chunk: 1, Objects: 1}, "a")
	s.forget(chunk.Piece{Chunk: 1, To: 9})
	want("chunk 1 is saved", nil, "")
}
