package sinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/chunkline/chunkline/internal/sink"
)

var claims = map[string]func(*harness){
	"claim binds plan, epoch and key": func(h *harness) {
		if plan, bound := h.Plan(); bound || h.Epoch() != 0 || h.Key() != nil {
			h.Fatalf("new sink has plan %v, epoch %d, key %x", plan, h.Epoch(), h.Key())
		}
		g := h.claim(Plan("a"), "f1")
		if g.Epoch != 1 || len(g.Key) != 32 || bytes.Equal(g.Key, make([]byte, 32)) {
			h.Fatalf("first grant is %+v", g)
		}
		for range 2 { // before and after reopening
			if plan, bound := h.Plan(); !bound || plan != Plan("a") || h.Epoch() != 1 || !bytes.Equal(h.Key(), g.Key) {
				h.Fatalf("sink has plan %v, epoch %d, key %x, want what was granted", plan, h.Epoch(), h.Key())
			}
			h.reopen()
		}
	},
	"keys of two sinks differ": func(h *harness) {
		g := h.claim(Plan("a"), "f1")
		other, err := h.open(h.T, h.where+"2", Job)
		if err != nil {
			h.Fatal(err)
		}
		defer other.Close()
		g2, err := other.Claim(h.Context(), Plan("a"), "f1")
		if err != nil || bytes.Equal(g.Key, g2.Key) {
			h.Fatalf("second sink has key %x (%v), the first one %x", g2.Key, err, g.Key)
		}
	},
	"the same fetcher keeps its epoch": func(h *harness) {
		first := h.claim(Plan("a"), "f1")
		for range 3 {
			if again := h.claim(Plan("a"), "f1"); again.Epoch != first.Epoch || !bytes.Equal(again.Key, first.Key) {
				h.Fatalf("claim again gives %+v, want %+v", again, first)
			}
			h.reopen()
		}
	},
	"a newer fetcher fences the older": func(h *harness) {
		first := h.claim(Plan("a"), "f1")
		second := h.claim(Plan("a"), "f2")
		if second.Epoch != 2 || !bytes.Equal(second.Key, first.Key) || h.Epoch() != 2 {
			h.Fatalf("second grant is %+v after %+v, epoch %d", second, first, h.Epoch())
		}
		for range 2 {
			if _, err := h.Claim(h.Context(), Plan("a"), "f1"); !errors.Is(err, sink.ErrFenced) {
				h.Fatalf("claim by the superseded fetcher: %v, want ErrFenced", err)
			}
			if again := h.claim(Plan("a"), "f2"); again.Epoch != 2 {
				h.Fatalf("the newest fetcher has epoch %d now, want 2", again.Epoch)
			}
			h.reopen()
		}
	},
	"many fetchers take over in turn": func(h *harness) {
		for i := range 70 {
			if g := h.claim(Plan("a"), fmt.Sprintf("f%d", i)); g.Epoch != uint64(i+1) {
				h.Fatalf("fetcher %d has epoch %d", i, g.Epoch)
			}
		}
		h.reopen()
		if _, err := h.Claim(h.Context(), Plan("a"), "f50"); !errors.Is(err, sink.ErrFenced) {
			h.Fatalf("claim by a superseded fetcher: %v, want ErrFenced", err)
		}
	},
	"another plan is refused": func(h *harness) {
		h.claim(Plan("a"), "f1")
		for range 2 {
			for _, fetcher := range []string{"f1", "f2"} {
				_, err := h.Claim(h.Context(), Plan("b"), fetcher)
				if !errors.Is(err, sink.ErrOtherPlan) {
					h.Fatalf("claim with another plan: %v, want ErrOtherPlan", err)
				}
				if text := err.Error(); !strings.Contains(text, Plan("a").String()) || !strings.Contains(text, Plan("b").String()) {
					h.Fatalf("error %q does not describe both plans", text)
				}
			}
			if h.Epoch() != 1 {
				h.Fatalf("a refused claim moved the epoch to %d", h.Epoch())
			}
			h.reopen()
		}
	},
	"another job is refused, or has a sink of its own": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1}, []int{2})
		h.commit(all[:1], sink.Committed)
		h.shut()
		other, err := h.open(h.T, h.where, "otherjob")
		if err == nil {
			if _, bound := other.Plan(); bound {
				h.Error("another job has this one's plan")
			}
			if _, err := other.Claim(h.Context(), Plan("b"), "f1"); err != nil {
				h.Error(err)
			}
			if outcomes, err := other.Commit(h.Context(), Chain("two", []int{2}, []int{1})); err != nil || outcomes[0] != sink.Committed {
				h.Errorf("another job's commit: %v, %v", outcomes, err)
			}
			if err := other.Close(); err != nil {
				h.Error(err)
			}
		} else if !errors.Is(err, sink.ErrOtherJob) {
			h.Errorf("open for another job: %v, want ErrOtherJob", err)
		}
		h.reopen() // the right one still opens it
		h.wantEntries(all[0])
		h.commit(all[1:], sink.Committed)
		h.wantFinish(all...)
	},
	"a fetcher has a name": func(h *harness) {
		if _, err := h.Claim(h.Context(), Plan("a"), ""); !errors.Is(err, sink.ErrInvalid) {
			h.Fatalf("claim by nobody: %v, want ErrInvalid", err)
		}
		if _, bound := h.Plan(); bound {
			h.Fatal("a refused claim bound the sink")
		}
	},
	"a cancelled call does nothing": func(h *harness) {
		ctx, cancel := context.WithCancel(h.Context())
		cancel()
		if _, err := h.Claim(ctx, Plan("a"), "f1"); !errors.Is(err, context.Canceled) || h.Epoch() != 0 {
			h.Fatalf("cancelled claim: %v, epoch %d", err, h.Epoch())
		}
		h.claim(Plan("a"), "f1")
		if _, err := h.Commit(ctx, Chain("", []int{1})); !errors.Is(err, context.Canceled) {
			h.Fatalf("cancelled commit: %v", err)
		}
		h.wantEntries()
		if _, err := h.Finish(ctx, 0, 0); !errors.Is(err, context.Canceled) {
			h.Fatalf("cancelled finish: %v", err)
		}
		h.commit(Chain("", []int{1}), sink.Committed) // the sink is not broken
	},
}
