package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// A mapper keeps every piece of a grant that arrives late, although heartbeats that overtake the
// grant do not list the pieces yet.
func TestGrantOnItsWay(t *testing.T) {
	run(t, 20, 2, func(t *testing.T, w *world) {
		w.tape.faults(func(p bustest.Packet) bustest.Fate {
			if len(grantOf(p)) > 1 {
				return bustest.Fate{Delay: 3500 * time.Millisecond}
			}
			return bustest.Fate{}
		})
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users", nil)
		w.mapper("idle", "users", nil)
		if err := f.within(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		h := w.tape.handed()
		if last := h[len(h)-1]; last.of < 9 || last.to != "a" {
			t.Errorf("handed out %+v last, want a grant of what is left to the first mapper", last)
		}
		w.handedOnce(20)
		w.sentOnce(20)
		w.complete(20)
	})
}

// A restarted fetcher does not hear of a mapper that is cut off, and cuts its pieces differently
// for a slower one. The late results of the older cut are refused where they overlap saved objects,
// and committed elsewhere.
func TestLateResultOfAnotherCut(t *testing.T) {
	run(t, 20, 10, func(t *testing.T, w *world) {
		var answers []wire.SaveStatus
		w.tape.faults(func(p bustest.Packet) bustest.Fate {
			late := slices.ContainsFunc(resultsOf(p), func(r wire.Result) bool { return r.Objects > 1 })
			if a, err := wire.DecodeSaveAnswer(p.Message); verbOf(p) == wire.VerbSave && p.Reply && p.To == "fast" && err == nil && len(a.Statuses) > 1 {
				answers = a.Statuses
			}
			switch {
			case p.From == "fast" && late:
				return bustest.Fate{Delay: 8 * time.Second}
			case p.From == "fast" && len(w.tape.granted) > 1 && verbOf(p) != wire.VerbSave, p.To == "fast" && verbOf(p) != wire.VerbNext && verbOf(p) != wire.VerbSave:
				return bustest.Fate{Drop: true}
			}
			return bustest.Fate{}
		})
		w.saver("saver")
		first := w.fetcher("first", nil)
		w.mapper("fast", "users", nil)
		pass(time.Second)
		first.kill()
		f := w.fetcher("fetcher", nil)
		w.mapper("slow", "users?duration=40s", version("v2"))
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		if want := []wire.SaveStatus{wire.SaveRefused, wire.SaveCommitted}; !slices.Equal(answers, want) {
			t.Errorf("the late results were answered %v, want %v", answers, want)
		}
		if s := f.Status(); s.State != report.StateDone || s.Objects.Saved != 20 {
			t.Errorf("status %+v", s)
		}
		w.complete(20)
	})
}
