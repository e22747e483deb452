package sinktest

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// pieces are the tests of chunks that come in several results.
var pieces = map[string]func(*harness){
	"a chunk in pieces": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1, 0, -1, 2}, []int{1, 1, -1}, []int{1})
		first, second := Pieces(all[0], 1, 2), Pieces(all[1], 1)
		there := func(want ...sink.Result) {
			h.Helper()
			for range 2 {
				h.wantEntries(want...)
				sum, _, _ := Expect(want...)
				if got := h.Summary(); got != sum {
					h.Fatalf("summary is %+v, want %+v", got, sum)
				}
				h.reopen()
			}
		}
		h.commit([]sink.Result{first[2]}, sink.Committed)
		there(first[2])
		h.commit([]sink.Result{all[2], second[1], first[0]}, sink.Committed, sink.Committed, sink.Committed)
		there(first[0], first[2], second[1], all[2])
		h.commit([]sink.Result{first[1], first[1]}, sink.Committed, sink.Duplicate)
		there(first[0], first[1], first[2], second[1], all[2])
		h.commit([]sink.Result{second[0]}, sink.Committed)
		want := slices.Concat(first, second, all[2:])
		there(want...)
		sum := h.wantFinish(want...)
		if sum.Chunks != 3 || sum.Objects != 8 {
			h.Fatalf("summary is %+v, want 3 chunks of 8 objects", sum)
		}
		h.reopen()
		h.wantFinish(want...)
	},
	"pieces are listed by chunk, then by place": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("", []int{1, 1, 1}, []int{1}, []int{1, 1, 1})
		first, last := Pieces(all[0], 1, 1), Pieces(all[2], 2)
		for _, r := range []sink.Result{last[1], first[2], first[0], all[1]} {
			h.commit([]sink.Result{r}, sink.Committed)
		}
		list := func(from chunk.ID, limit int, want ...sink.Result) {
			h.Helper()
			got, err := h.List(h.Context(), from, limit)
			if err != nil {
				h.Fatalf("list %d, %d: %v", from, limit, err)
			}
			sameEntries(h.T, got, want...)
		}
		list(0, 3, first[0], first[2], all[1], last[1])
		list(0, 1, first[0], first[2])
		list(1, 2, all[1], last[1])
		list(2, 1, last[1])
		got, err := h.Has(h.Context(), []chunk.ID{2, 0, 7, 2, 1})
		if err != nil {
			h.Fatal(err)
		}
		sameEntries(h.T, got, last[1], first[0], first[2], last[1], all[1])
		for _, e := range got {
			if e.Whole() != (e.ID == 1) {
				h.Errorf("entry %+v is whole: %t", e, e.Whole())
			}
		}
	},
	"a chunk that was cut anew: a late result overlaps": func(h *harness) {
		if sink.Overlap.Durable() || sink.Overlap.String() != "overlap" {
			h.Errorf("%s is durable: %t", sink.Overlap, sink.Overlap.Durable())
		}
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1, -1, 2, 0, 1, 1})
		late := Chain("late", []int{3, 3, 3, 3, 3, 3})
		now := Pieces(all[0], 2, 3)
		h.commit(now[:1], sink.Committed)
		overlaps := []sink.Result{Piece(late[0], 0, 4), Piece(late[0], 1, 2), Piece(late[0], 1, 5), late[0]}
		same := []sink.Outcome{sink.Overlap, sink.Overlap, sink.Overlap, sink.Overlap}
		for range 2 {
			h.commit(overlaps, same...)
			h.commit([]sink.Result{Piece(late[0], 0, 1), Piece(late[0], 1, 1), now[0]}, sink.Duplicate, sink.Duplicate, sink.Duplicate)
			h.wantEntries(now[0])
			h.reopen()
		}
		h.commit(now[1:], sink.Committed, sink.Committed)
		for range 2 { // now all their objects are there
			h.commit(overlaps, sink.Duplicate, sink.Duplicate, sink.Duplicate, sink.Duplicate)
			h.wantEntries(now...)
			h.reopen()
		}
		h.wantFinish(now...)
	},
	"a chunk that is there as a whole, and late pieces of it": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all, late := Chain("one", []int{1, -1, 2}, []int{1}), Chain("late", []int{1, 1, 1})
		h.commit(all, sink.Committed, sink.Committed)
		for range 2 {
			h.commit(Pieces(late[0], 1, 1), sink.Duplicate, sink.Duplicate, sink.Duplicate)
			h.reopen()
		}
		h.wantFinish(all...)
	},
	"results of a group are committed in order": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all, late := Chain("one", []int{1, -1, 2, 0}, []int{1, 1}), Chain("late", []int{1, 1, 1, 1}, []int{1, 1})
		now, next := Pieces(all[0], 1, 2), Pieces(all[1], 1)
		h.commit([]sink.Result{now[1], next[1], late[0], Piece(late[0], 0, 2), now[0], Piece(late[0], 0, 2), next[1], late[1], now[2], late[0]},
			sink.Committed, sink.Committed, sink.Overlap, sink.Overlap, sink.Committed, sink.Duplicate, sink.Duplicate, sink.Overlap, sink.Committed, sink.Duplicate)
		h.commit([]sink.Result{late[1], next[0], late[1]}, sink.Overlap, sink.Committed, sink.Duplicate)
		h.wantFinish(slices.Concat(now, next)...)
	},
	"pieces of another source": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1}, []int{1, 1, 1, 1})
		now := Pieces(all[1], 2, 1)
		spoil := func(r sink.Result, do func(*sink.Result)) sink.Result { do(&r); return r }
		wrong := []sink.Result{
			spoil(now[0], func(r *sink.Result) { r.Digest = Digest(1, "changed") }),
			spoil(now[0], func(r *sink.Result) { r.Of = 5 }),
			spoil(now[0], func(r *sink.Result) { r.First++ }),
			spoil(now[1], func(r *sink.Result) { r.Of = 3 }),
			spoil(now[1], func(r *sink.Result) { r.First-- }),
			spoil(all[1], func(r *sink.Result) { r.First = 0 }),
			Chain("one", []int{1}, []int{1, 1})[1],
		}
		conflicts := slices.Repeat([]sink.Outcome{sink.Conflict}, len(wrong))
		h.commit(slices.Concat(now[:1], wrong, now[1:2]), slices.Concat([]sink.Outcome{sink.Committed}, conflicts, []sink.Outcome{sink.Committed})...)
		for range 2 {
			h.commit(wrong, conflicts...)
			h.reopen()
		}
		h.commit([]sink.Result{now[2], all[0]}, sink.Committed, sink.Committed)
		h.commit(wrong, conflicts...)
		h.wantFinish(slices.Concat(all[:1], now)...)
	},
	"a chunk that is whole, and pieces of another source": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1, 1, 1})
		longer, moved := Piece(Chain("one", []int{1, 1, 1, 1})[0], 0, 2), Piece(all[0], 1, 1)
		moved.First = 7
		h.commit(all, sink.Committed)
		for range 2 {
			h.commit([]sink.Result{longer, moved}, sink.Conflict, sink.Conflict)
			h.reopen()
		}
		h.wantFinish(all...)
	},
	"a version that is fenced, and pieces": func(h *harness) {
		h.claim(Plan("a"), "f1")
		now := Pieces(Chain("", []int{1, 1, 1, 1})[0], 2)
		h.commit([]sink.Result{given(now[0], "v2", 0)}, sink.Committed)
		h.fenceVersion("v2", 1)
		whole := Chain("", []int{1, 1, 1, 1})[0]
		h.commit([]sink.Result{given(now[0], "v2", 0), given(now[1], "v2", 0), given(whole, "v2", 0), given(now[1], "v2", 1)},
			sink.Duplicate, sink.TooLate, sink.Overlap, sink.Committed)
		h.wantFinish(now...)
	},
	"incomplete chunks are named": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("", []int{1, 1}, []int{1, 1, 1, 1, 1, 1}, []int{1, 1, 1})
		second, third := Pieces(all[1], 1, 2, 1), Pieces(all[2], 2)
		for _, step := range []struct {
			commit []sink.Result
			says   string
		}{
			{third[1:], "chunk 0 is missing"},
			{all[:1], "chunk 1 is missing"},
			{second[2:3], "objects 2 to 4 of chunk 1 are missing"},
			{second[:1], "objects 3 to 4 of chunk 1 are missing"},
			{second[1:2], "objects 6 to 7 of chunk 1 are missing"},
			{second[3:], "objects 8 to 9 of chunk 2 are missing"},
		} {
			for _, r := range step.commit {
				h.commit([]sink.Result{r}, sink.Committed)
			}
			if _, err := h.Finish(h.Context(), 3, 11); !errors.Is(err, sink.ErrIncomplete) || !strings.Contains(err.Error(), step.says) {
				h.Errorf("finish: %v, want ErrIncomplete with %q", err, step.says)
			}
		}
		h.commit(third[:1], sink.Committed)
		h.wantFinish(slices.Concat(all[:1], second, third)...)
	},
	"the end of the last chunk is missing": func(h *harness) {
		h.claim(Plan("a"), "f1")
		now := Pieces(Chain("", []int{1, 1, 1})[0], 2)
		h.commit(now[:1], sink.Committed)
		for _, total := range [][2]uint64{{1, 3}, {1, 2}, {2, 3}} {
			if _, err := h.Finish(h.Context(), total[0], total[1]); !errors.Is(err, sink.ErrIncomplete) || !strings.Contains(err.Error(), "objects 2 to 2 of chunk 0 are missing") {
				h.Errorf("finish %v: %v, want ErrIncomplete that names object 2", total, err)
			}
		}
	},
	"a look at pieces": func(h *harness) {
		h.claim(Plan("a"), "f1")
		now := Pieces(Result(3, 6, "x", 2, -1, 0, 1), 1, 2)
		for n, i := range []int{2, 0, 1} {
			h.commit([]sink.Result{now[i]}, sink.Committed)
			want := [][]sink.Result{{now[2]}, {now[0], now[2]}, now}[n]
			if got, err := h.Look(h.Context(), 3); err != nil || !reflect.DeepEqual(got, want) {
				h.Fatalf("look at chunk 3: %+v, %v; want %+v", got, err, want)
			}
			h.reopen()
		}
	},
	"dead letters of pieces, a chunk's together": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("", []int{-1, 1, -1}, []int{1}, []int{-1, -1, 1, -1}, []int{-1})
		for _, r := range slices.Concat(Pieces(all[2], 1, 1, 1), all[3:], all[1:2], Pieces(all[0], 1, 1)) {
			h.commit([]sink.Result{r}, sink.Committed)
		}
		for _, test := range []struct {
			below chunk.ID
			limit int
			next  chunk.ID
			want  []sink.Result
		}{
			{9, 10, 0, []sink.Result{all[3], all[2], all[0]}},
			{9, 1, 3, all[3:]},
			{9, 2, 2, []sink.Result{all[3], all[2]}},
			{3, 1, 2, all[2:3]},
			{2, 1, 0, all[:1]},
		} {
			var lines []byte
			for _, r := range test.want {
				lines = append(lines, r.Dead...)
			}
			got, next, err := h.DeadBelow(h.Context(), test.below, test.limit)
			if err != nil || !bytes.Equal(got, lines) || next != test.next {
				h.Errorf("dead letters below %d, at most %d: %q, %d, %v; want %q, %d", test.below, test.limit, got, next, err, lines, test.next)
			}
		}
	},
	"a result that is no piece": func(h *harness) {
		h.claim(Plan("a"), "f1")
		for name, spoil := range map[string]func(*sink.Result){
			"before the chunk":               func(r *sink.Result) { r.From = -1 },
			"beyond the chunk":               func(r *sink.Result) { r.From = 4 },
			"longer than the chunk":          func(r *sink.Result) { r.Of = 1 },
			"chunk begins before object 0":   func(r *sink.Result) { r.First = 1 },
			"chunk ends beyond all ordinals": func(r *sink.Result) { r.First = 1<<64 - 2 },
			"chunk of far too many objects":  func(r *sink.Result) { r.Of = math.MaxInt },
		} {
			r := Piece(Chain("", []int{1, 1, 1, 1})[0], 2, 1)
			spoil(&r)
			if _, err := h.Commit(h.Context(), []sink.Result{r}); !errors.Is(err, sink.ErrInvalid) {
				h.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
		h.wantEntries()
	},
}
