package sim

import (
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/report"
)

// A mapper that dies in the middle of a 10 s chunk, at any moment between two heartbeats, is
// detected in time.
func TestDeadMapper(t *testing.T) {
	t.Parallel()
	deaths := map[string]struct {
		die  func(w *world, r *role)
		most time.Duration // until another mapper has the chunk
	}{
		"cut":    {func(_ *world, r *role) { r.crash() }, 2500 * time.Millisecond}, // suspected, and a ping has no responders
		"silent": {func(w *world, _ *role) { w.tape.cut("dying") }, 3500 * time.Millisecond},
	}
	for name, death := range deaths {
		for late := time.Duration(0); late < time.Second; late += 170 * time.Millisecond {
			t.Run(name+" after "+(5*time.Second+late).String(), func(t *testing.T) {
				run(t, 1, 1, func(t *testing.T, w *world) {
					w.saver("saver")
					f := w.fetcher("fetcher", nil)
					dying := w.mapper("dying", "users?duration=10s", nil)
					w.mapper("other", "users?duration=10s", nil)
					pass(5*time.Second + late)
					if h := w.tape.handed(); len(h) != 1 || h[0].to != "dying" {
						t.Fatalf("handed out %+v, want one chunk, to the mapper that dies", h)
					}
					death.die(w, dying)
					died := time.Now()
					if err := f.within(time.Minute); err != nil {
						t.Fatal(err)
					}
					h := w.tape.handed()
					if len(h) != 2 || h[1].to != "other" || h[1].Attempt != 2 {
						t.Fatalf("handed out %+v, want a second attempt, by the other mapper", h)
					}
					if took := h[1].at.Sub(died); took > death.most {
						t.Errorf("another mapper got the chunk after %s, want at most %s", took, death.most)
					}
					if s := f.Status().Chunks; s.Redelivered != 1 || s.Duplicates != 0 {
						t.Errorf("status counts %+v, want one redelivery and no duplicate", s)
					}
					w.complete(1)
				})
			})
		}
	}
}

// A slow mapper keeps its chunk, even while others are idle.
func TestSlowMapper(t *testing.T) {
	run(t, 1, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("slow", "users?duration=60s", nil)
		w.mapper("idle", "users", nil)
		begin := time.Now()
		if err := f.within(2 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if took := f.ended.Sub(begin); took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("job took %s, want a minute, as the slow mapper takes", took)
		}
		if h, s := w.tape.handed(), w.tape.sent(); len(h) != 1 || len(s) != 1 || s[0].from != "slow" || s[0].Attempt != 1 {
			t.Errorf("handed out %+v, saved %+v, want one attempt", h, s)
		}
		if s := f.Status().Chunks; s.Redelivered != 0 || s.Duplicates != 0 || s.Backups != 0 {
			t.Errorf("status counts %+v, want no redelivery, duplicate or backup", s)
		}
		w.complete(1)
	})
}

func speculate(c *fetcher.Config) { c.Speculate = true }

// A straggler gets one backup attempt; the first result wins, and the other mapper
// stops at once.
func TestBackup(t *testing.T) {
	run(t, 1, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", func(c *fetcher.Config) { c.Speculate, c.OnDone = true, "stay" })
		slow := w.mapper("slow", "users?duration=60s", nil)
		w.mapper("idle", "users", nil)
		w.until(5*time.Second, "job done", func() bool { return f.Status().State == report.StateDone })
		h := w.tape.handed()
		if len(h) != 2 || h[1].to != "idle" || h[1].Attempt != 1 {
			t.Fatalf("handed out %+v, want a backup of the first attempt, by the idle mapper", h)
		}
		if after := h[1].at.Sub(h[0].at); after < time.Second || after > 1500*time.Millisecond {
			t.Errorf("backup after %s, want soon after 1s", after)
		}
		pass(500 * time.Millisecond)
		slow.cancel() // it drains at once, because the fetcher ordered it to drop its chunk
		begin := time.Now()
		if err := slow.within(time.Minute); err != nil || time.Since(begin) > time.Second {
			t.Errorf("slow mapper stopped after %s (%v), want at once", time.Since(begin), err)
		}
		if s := f.Status().Chunks; s.Backups != 1 || s.Redelivered != 0 || s.Duplicates != 0 {
			t.Errorf("status counts %+v, want one backup only", s)
		}
		w.complete(1)
	})
}

// At most one in ten of the chunks in flight has a backup attempt.
func TestFewBackups(t *testing.T) {
	run(t, 30, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", speculate)
		w.mapper("slow", "users?duration=60s", func(c *mapper.Config) { c.Workers = 30 })
		w.mapper("idle", "users?duration=60s", func(c *mapper.Config) { c.Workers = 30 })
		pass(30 * time.Second)
		if s := f.Status().Chunks; s.Backups != 3 || s.InFlight != 30 {
			t.Errorf("status counts %+v, want 3 backups of 30 in flight", s)
		}
		if err := f.within(2 * time.Minute); err != nil {
			t.Fatal(err)
		}
		w.complete(30)
	})
}
