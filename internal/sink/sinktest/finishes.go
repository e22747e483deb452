package sinktest

import (
	"bytes"
	"errors"
	"reflect"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

var readings = map[string]func(*harness){
	"list in pages": func(h *harness) {
		h.claim(Plan("a"), "f1")
		var there []sink.Result
		for _, id := range []chunk.ID{0, 1, 4, 5, 9, 10, 11, 20, MaxChunk} {
			there = append(there, Result(id, uint64(min(id, 1000)), "", 1))
		}
		for _, r := range there {
			h.commit([]sink.Result{r}, sink.Committed)
		}
		for _, test := range []struct {
			from  chunk.ID
			limit int
			want  []sink.Result
		}{
			{0, 1, there[:1]}, {0, 5, there[:3]}, {0, 6, there[:4]}, {2, 2, nil}, {4, 6, there[2:5]}, {10, 10, there[5:7]},
			{10, 11, there[5:8]}, {21, 1000, nil}, {0, 0, nil}, {0, -1, nil}, {MaxChunk - 4, 1000, there[8:]}, {MaxChunk, 1, there[8:]}, {1<<64 - 5, 1000, nil},
		} {
			got, err := h.List(h.Context(), test.from, test.limit)
			if err != nil {
				h.Fatalf("list %d, %d: %v", test.from, test.limit, err)
			}
			sameEntries(h.T, got, test.want...)
		}
	},
	"has keeps the order asked": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("", []int{1}, []int{1}, []int{1})
		h.commit([]sink.Result{all[0], all[2]}, sink.Committed, sink.Committed)
		got, err := h.Has(h.Context(), []chunk.ID{2, 7, 0, 1, 2})
		if err != nil {
			h.Fatal(err)
		}
		sameEntries(h.T, got, all[2], all[0], all[2])
		if got, err := h.Has(h.Context(), nil); err != nil || len(got) != 0 {
			h.Fatalf("has of nothing: %v, %v", got, err)
		}
	},
	"a look at a result": func(h *harness) {
		h.claim(Plan("a"), "f1")
		want := Result(3, 6, "x", 2, -1, 0)
		h.commit([]sink.Result{want}, sink.Committed)
		for range 2 {
			got, err := h.Look(h.Context(), 3)
			if err != nil || !reflect.DeepEqual(got, []sink.Result{want}) {
				h.Fatalf("look at chunk 3: %+v, %v; want %+v", got, err, want)
			}
			if _, err := h.Look(h.Context(), 2); !errors.Is(err, sink.ErrNoChunk) {
				h.Fatalf("look at chunk 2: %v, want ErrNoChunk", err)
			}
			h.reopen()
		}
	},
	"dead letters, the newest chunks first": func(h *harness) {
		h.claim(Plan("a"), "f1")
		look := func(below chunk.ID, limit int, next chunk.ID, want ...sink.Result) {
			h.Helper()
			var lines []byte
			for _, r := range want {
				lines = append(lines, r.Dead...)
			}
			got, gotNext, err := h.DeadBelow(h.Context(), below, limit)
			if err != nil || !bytes.Equal(got, lines) || gotNext != next {
				h.Fatalf("dead letters below %d, at most %d: %q, %d, %v; want %q, %d", below, limit, got, gotNext, err, lines, next)
			}
		}
		look(1<<62, 10, 0)
		all := Chain("", []int{-1, 1}, []int{1}, []int{-1, -1}, []int{-1}, []int{2})
		for _, r := range all {
			h.commit([]sink.Result{r}, sink.Committed)
		}
		look(1<<62, 10, 0, all[3], all[2], all[0])
		look(1<<62, 1, 3, all[3])
		look(3, 1, 2, all[2]) // a chunk's dead letters stay together
		look(2, 1, 0, all[0])
		look(0, 1, 0)
		h.reopen()
		look(4, 10, 0, all[3], all[2], all[0])
		last := Chain("", []int{-1, 1}, []int{1}, []int{-1, -1}, []int{-1}, []int{2}, []int{-1})[5]
		h.commit([]sink.Result{last}, sink.Committed)
		look(1<<62, 10, 0, last, all[3], all[2], all[0]) // the newest chunk has dead letters, each once
		look(1<<62, 1, 5, last)
	},
	"nothing after close": func(h *harness) {
		h.claim(Plan("a"), "f1")
		s := h.Sink
		h.shut()
		_, claim := s.Claim(h.Context(), Plan("a"), "f1")
		_, commit := s.Commit(h.Context(), Chain("", []int{1}))
		_, list := s.List(h.Context(), 0, 1)
		_, has := s.Has(h.Context(), []chunk.ID{0})
		_, finish := s.Finish(h.Context(), 0, 0)
		for name, err := range map[string]error{"claim": claim, "commit": commit, "list": list, "has": has, "finish": finish, "close": s.Close()} {
			if !errors.Is(err, sink.ErrClosed) {
				h.Errorf("%s after close: %v, want ErrClosed", name, err)
			}
		}
		h.reopen()
		h.wantEntries()
	},
}

var finishes = map[string]func(*harness){
	"input order, whatever the order of commits": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1, 0, 3}, []int{-1, 2}, []int{0}, []int{-1, -1}, []int{1})
		for _, i := range []int{4, 1, 0, 3, 2} {
			h.commit(all[i:i+1], sink.Committed)
		}
		sum := h.wantFinish(all...)
		if sum.DeadFile == "" {
			h.Fatal("there are dead letters, and no file of them")
		}
		h.reopen()
		if h.Summary() != sum {
			h.Fatalf("after reopening summary is %+v, want %+v", h.Summary(), sum)
		}
		h.wantFinish(all...)
	},
	"a job of nothing": func(h *harness) {
		h.claim(Plan("a"), "f1")
		if sum := h.wantFinish(); sum.DeadFile != "" {
			h.Fatalf("dead file %s without dead letters", sum.DeadFile)
		}
		h.wantFinish()
	},
	"nothing comes out": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{0, 0}, []int{0})
		h.commit(all, sink.Committed, sink.Committed)
		h.wantFinish(all...)
	},
	"all dead": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{-1, -1}, []int{-1})
		h.commit(all, sink.Committed, sink.Committed)
		h.wantFinish(all...)
	},
	"incomplete names the first gap": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1, 1}, []int{1}, []int{1}, []int{1})
		shifted := Result(4, 6, "one", 1) // object 5 is in no chunk
		for _, step := range []struct {
			commit          []sink.Result
			chunks, objects uint64
			says            string
		}{
			{nil, 1, 1, "chunk 0 is missing"},
			{all[1:2], 4, 5, "chunk 0 is missing"},
			{all[0:1], 4, 5, "chunk 2 is missing"},
			{all[3:4], 4, 5, "chunk 2 is missing"},
			{all[2:3], 5, 6, "chunk 4 is missing"},
			{nil, 3, 4, "chunk 3 is beyond the end"},
			{nil, 4, 6, "the chunks have 5 objects"},
			{nil, 0, 0, "chunk 0 is beyond the end"},
			{[]sink.Result{shifted}, 5, 6, "chunk 4 begins with object 6, not 5"},
		} {
			for _, r := range step.commit {
				h.commit([]sink.Result{r}, sink.Committed)
			}
			sum, err := h.Finish(h.Context(), step.chunks, step.objects)
			if !errors.Is(err, sink.ErrIncomplete) || !strings.Contains(err.Error(), step.says) {
				h.Errorf("finish %d chunks, %d objects: %v, want ErrIncomplete with %q", step.chunks, step.objects, err, step.says)
			}
			if sum != (sink.Summary{}) || h.Summary().Output != "" {
				h.Errorf("an incomplete job has summary %+v", sum)
			}
		}
	},
	"a finished job can be asked for another size": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1, 1}, []int{1})
		h.commit(all, sink.Committed, sink.Committed)
		h.wantFinish(all...)
		for _, total := range [][2]uint64{{3, 4}, {2, 4}, {1, 2}} {
			if _, err := h.Finish(h.Context(), total[0], total[1]); !errors.Is(err, sink.ErrIncomplete) {
				h.Errorf("finish %v: %v, want ErrIncomplete", total, err)
			}
		}
	},
	"a chunk after the finish": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1}, []int{2})
		h.commit(all[:1], sink.Committed)
		h.wantFinish(all[:1]...)
		h.commit(all[1:], sink.Committed)
		if h.Summary().Output != "" {
			h.Error("the job counts as finished, with a chunk that is not merged")
		}
		h.wantFinish(all...)
	},
}
