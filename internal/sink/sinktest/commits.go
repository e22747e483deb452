package sinktest

import (
	"errors"
	"sync"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

var commits = map[string]func(*harness){
	"committed once, duplicate ever after": func(h *harness) {
		h.claim(Plan("a"), "f1")
		first := Chain("one", []int{1, 1}, []int{2})
		h.commit(first[:1], sink.Committed)
		h.commit(first, sink.Duplicate, sink.Committed)
		for range 2 {
			again := Chain("two", []int{1, 0}, []int{1}) // other outputs of the same objects
			h.commit(again, sink.Duplicate, sink.Duplicate)
			h.wantEntries(first...)
			h.reopen()
		}
		h.wantFinish(first...) // the first result stays
	},
	"duplicate within a group": func(h *harness) {
		h.claim(Plan("a"), "f1")
		one, two := Chain("one", []int{1, 2})[0], Chain("two", []int{3, 1})[0]
		h.commit([]sink.Result{one, two, one}, sink.Committed, sink.Duplicate, sink.Duplicate)
		h.wantFinish(one)
	},
	"conflict": func(h *harness) {
		h.claim(Plan("a"), "f1")
		good := Chain("one", []int{1, 2}, []int{1})
		digest, place, size := good[0], good[0], Chain("one", []int{1, 2, 0})[0]
		digest.Digest = Digest(0, "changed")
		place.First = 7
		h.commit([]sink.Result{good[0], digest, good[1]}, sink.Committed, sink.Conflict, sink.Committed)
		h.reopen()
		h.commit([]sink.Result{place, good[0], size}, sink.Conflict, sink.Duplicate, sink.Conflict)
		h.wantEntries(good...)
		h.wantFinish(good...)
	},
	"an empty group": func(h *harness) {
		h.claim(Plan("a"), "f1")
		h.commit(nil)
		h.wantEntries()
	},
	"nothing before the first claim": func(h *harness) {
		if _, err := h.Commit(h.Context(), Chain("", []int{1})); !errors.Is(err, sink.ErrUnclaimed) {
			h.Fatalf("commit to an unclaimed sink: %v, want ErrUnclaimed", err)
		}
		if _, err := h.Finish(h.Context(), 0, 0); !errors.Is(err, sink.ErrUnclaimed) {
			h.Fatalf("finish of an unclaimed sink: %v, want ErrUnclaimed", err)
		}
	},
	"a result that contradicts itself": func(h *harness) {
		h.claim(Plan("a"), "f1")
		spoil := map[string]func(*sink.Result){
			"no objects":       func(r *sink.Result) { r.Objects, r.Counts = 0, nil },
			"counts missing":   func(r *sink.Result) { r.Counts = r.Counts[:1] },
			"negative count":   func(r *sink.Result) { r.Counts = []int{3, -1} },
			"outputs missing":  func(r *sink.Result) { r.Outputs = nil },
			"outputs too many": func(r *sink.Result) { r.Counts = []int{0, 0} },
			"no line end":      func(r *sink.Result) { r.Outputs = r.Outputs[:len(r.Outputs)-1] },
			"dead uncounted":   func(r *sink.Result) { r.Dead = []byte("{}\n") },
			"dead missing":     func(r *sink.Result) { r.DeadCount = 1 },
			"too many dead":    func(r *sink.Result) { r.Dead, r.DeadCount = []byte("{}\n{}\n{}\n"), 3 },
			"dead, no end":     func(r *sink.Result) { r.Dead, r.DeadCount = []byte("{}"), 1 },
			"ordinal overflow": func(r *sink.Result) { r.First = 1<<64 - 1 },
			"negative attempt": func(r *sink.Result) { r.Attempt = -1 },
		}
		for name, f := range spoil {
			group := Chain("", []int{1}, []int{1, 1})
			f(&group[1])
			if _, err := h.Commit(h.Context(), group); !errors.Is(err, sink.ErrInvalid) {
				h.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
		h.wantEntries() // the good result of the group is not stored either
	},
	"out of order, far apart, and back": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1}, []int{0, 2}, []int{-1}, []int{3}, []int{1, 1})
		h.commit([]sink.Result{all[3], all[1]}, sink.Committed, sink.Committed)
		h.reopen()
		h.commit([]sink.Result{all[4], all[0]}, sink.Committed, sink.Committed)
		h.wantEntries(all[0], all[1], all[3], all[4])
		h.commit([]sink.Result{all[2]}, sink.Committed)
		far := Result(MaxChunk, 1<<62, "", 1)
		h.commit([]sink.Result{far}, sink.Committed)
		h.reopen()
		h.commit([]sink.Result{far}, sink.Duplicate)
		h.wantEntries(all...)
	},
	"totals": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1, 0, -1}, []int{5}, []int{-1, -1})
		h.commit(all, sink.Committed, sink.Committed, sink.Committed)
		h.commit(all[:1], sink.Duplicate)
		want, _, _ := Expect(all...)
		for range 2 {
			if got := h.Summary(); got != want {
				h.Fatalf("summary is %+v, want %+v", got, want)
			}
			h.reopen()
		}
	},
	"many at a time": func(h *harness) {
		h.claim(Plan("a"), "f1")
		var all []sink.Result
		for i := range 200 {
			all = append(all, Result(chunk.ID(i), uint64(2*i), "one", i%3, -(i%2)))
		}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range all {
					r := all[(i*7+w*50)%len(all)]
					if _, err := h.Commit(h.Context(), []sink.Result{r}); err != nil {
						h.Errorf("commit chunk %d: %v", r.Chunk, err)
						return
					}
					if got, err := h.Has(h.Context(), []chunk.ID{r.Chunk}); err != nil || len(got) != 1 {
						h.Errorf("chunk %d is not there after its commit: %v, %v", r.Chunk, got, err)
						return
					}
					h.Summary()
				}
			})
		}
		wg.Wait()
		h.wantFinish(all...)
	},
}
