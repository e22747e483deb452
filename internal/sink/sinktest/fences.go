package sinktest

import (
	"errors"
	"maps"
	"slices"

	"github.com/chunkline/chunkline/internal/sink"
)

// given returns a result whose lease had this version and term.
func given(r sink.Result, version string, term uint64) sink.Result {
	r.Version, r.Term = version, term
	return r
}

var fences = map[string]func(*harness){
	"a version that is fenced has no late result stored": func(h *harness) {
		if err := h.FenceVersion(h.Context(), "v2", 1); !errors.Is(err, sink.ErrUnclaimed) {
			h.Fatalf("fence before the first claim: %v, want ErrUnclaimed", err)
		}
		h.claim(Plan("a"), "f1")
		all := Chain("", []int{1}, []int{1, 0}, []int{2}, []int{1})
		h.commit([]sink.Result{given(all[0], "v2", 0)}, sink.Committed)
		h.fenceVersion("v2", 1)
		for range 2 { // before and after reopening
			h.commit([]sink.Result{
				given(all[0], "v2", 0), // committed results stay, and a repeat is reported as duplicate
				given(all[1], "v2", 0),
				given(all[1], "v2", 0),
			}, sink.Duplicate, sink.TooLate, sink.TooLate)
			h.wantEntries(all[0])
			if h.Term("v2") != 1 || h.Term("v1") != 0 {
				h.Fatalf("terms are %d and %d, want 1 and 0", h.Term("v2"), h.Term("v1"))
			}
			h.reopen()
		}
		h.commit([]sink.Result{given(all[1], "v2", 0), given(all[1], "v1", 0), given(all[2], "v2", 1), given(all[3], "v2", 7)},
			sink.TooLate, sink.Committed, sink.Committed, sink.Committed)
		h.wantFinish(all...)
	},
	"a version stands for one transform": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("", []int{1}, []int{1, 0}, []int{2}, []int{1})
		by := func(r sink.Result, version, transform string) sink.Result {
			r.Version, r.Transform = version, transform
			return r
		}
		h.commit([]sink.Result{by(all[0], "v1", "jq:.a"), by(all[1], "v1", "jq:.b")}, sink.Committed, sink.OtherTransform)
		for range 2 {
			h.commit([]sink.Result{by(all[0], "v1", "jq:.b"), by(all[1], "v1", "jq:.b")}, sink.Duplicate, sink.OtherTransform)
			h.reopen()
		}
		h.commit([]sink.Result{by(all[1], "v1", "jq:.a"), by(all[2], "v2", "jq:.b"), by(all[3], "v3", "jq:.b")}, sink.Committed, sink.Committed, sink.Committed)
		want := map[string]string{"v1": "jq:.a", "v2": "jq:.b", "v3": "jq:.b"}
		if g := h.claim(Plan("a"), "f2"); !maps.Equal(g.Transforms, want) {
			h.Errorf("the next fetcher knows %v, want %v", g.Transforms, want)
		}
		h.wantFinish(all...)
	},
	"the next fetcher knows which versions are fenced": func(h *harness) {
		if g := h.claim(Plan("a"), "f1"); len(g.Terms) > 0 {
			h.Fatalf("first grant has terms %v", g.Terms)
		}
		h.fenceVersion("v2", 1)
		h.fenceVersion("v2", 2)
		h.fenceVersion("v2", 1) // an older or repeated term changes nothing
		h.fenceVersion("", 4)
		h.reopen()
		want := map[string]uint64{"v2": 2, "": 4}
		for _, fetcher := range []string{"f1", "f2"} {
			if g := h.claim(Plan("a"), fetcher); !maps.Equal(g.Terms, want) {
				h.Fatalf("grant of %s has terms %v, want %v", fetcher, g.Terms, want)
			}
		}
		h.commit(slices.Concat(Chain("", []int{1}), Chain("x", []int{1})), sink.Committed, sink.Duplicate)
	},
}

func (h *harness) fenceVersion(version string, term uint64) {
	h.Helper()
	if err := h.FenceVersion(h.Context(), version, term); err != nil {
		h.Fatal(err)
	}
}
