package sim

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

func (w *world) rewrite(from, to string) {
	w.t.Helper()
	text, err := os.ReadFile(w.source)
	if err == nil {
		err = os.WriteFile(w.source, []byte(strings.Replace(string(text), from, to, 1)), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// A source that has changed since the first run is refused at the chunk that differs.
func TestSourceChanged(t *testing.T) {
	for name, test := range map[string]struct {
		change func(w *world)
		want   string
	}{
		"an object": {func(w *world) { w.rewrite(`"f7"`, `"F7"`) }, "chunk 3 (objects 6 to 7) differs"},
		"shorter":   {func(w *world) { writeUsers(w.t, w.source, 0, 6) }, "it ends with chunk 2, the sink holds later ones"},
		"empty":     {func(w *world) { writeUsers(w.t, w.source, 0, 0) }, "it ends with chunk -1, the sink holds later ones"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 10, 2, func(t *testing.T, w *world) {
				w.saver("saver")
				f := w.fetcher("fetcher", nil)
				w.mapper("a", "users", nil)
				if err := f.within(time.Minute); err != nil {
					t.Fatal(err)
				}
				test.change(w)
				f = w.fetcher("fetcher", nil)
				if err := f.within(time.Minute); !errors.Is(err, fetcher.ErrSourceChanged) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("second run ended with %v, want %q", err, test.want)
				}
				if s := f.Status().State; s != report.StateFailed {
					t.Errorf("state is %s, want failed", s)
				}
				w.complete(10) // the sink is unchanged
			})
		})
	}
}

// A finished job that is run again ends at once and hands out nothing.
func TestRunAgain(t *testing.T) {
	run(t, 10, 2, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users", nil)
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		f = w.fetcher("fetcher", nil)
		if err := f.within(time.Second); err != nil {
			t.Fatal(err)
		}
		if s := f.Status(); s.Objects.Saved != 10 || s.State != report.StateDone || s.Progress != 1 {
			t.Errorf("status %+v, want done", s)
		}
		w.handedOnce(10)
		w.complete(10)
	})
}

// A file that changes while the job runs is noticed when a chunk is read again.
func TestSourceChangesMeanwhile(t *testing.T) {
	run(t, 4, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		a := w.mapper("a", "users?duration=10s", nil)
		pass(time.Second)
		w.rewrite(`"f0"`, `"F0"`)
		a.crash()
		w.mapper("b", "users", nil)
		if err := f.within(time.Minute); !errors.Is(err, fetcher.ErrSourceChanged) || !strings.Contains(err.Error(), "chunk 0") {
			t.Errorf("job ended with %v, want that chunk 0 has changed", err)
		}
		if _, there := w.sink.Result(0); there {
			t.Error("chunk 0 is in the sink")
		}
	})
}

// Unreadable objects are dead letters; MAX_DEAD limits how many the job tolerates.
func TestMaxDead(t *testing.T) {
	for _, test := range []struct {
		max  int64
		want error
	}{{-1, app.ErrDeadLetters}, {2, app.ErrDeadLetters}, {1, fetcher.ErrTooManyDead}, {0, fetcher.ErrTooManyDead}} {
		t.Run(test.want.Error(), func(t *testing.T) {
			run(t, 10, 2, func(t *testing.T, w *world) {
				w.rewrite(user(3), "{broken")
				w.rewrite(user(8), "{broken")
				w.saver("saver")
				f := w.fetcher("fetcher", func(c *fetcher.Config) { c.MaxDead = test.max })
				w.mapper("a", "users", nil)
				if err := f.within(time.Minute); !errors.Is(err, test.want) {
					t.Fatalf("job ended with %v, want %v", err, test.want)
				}
				if errors.Is(test.want, app.ErrDeadLetters) {
					w.complete(10, 3, 8)
					if l := w.letters(); l[0].Attempts != 0 || !strings.Contains(l[0].Error, "line 4") {
						t.Errorf("dead letter %+v, want the line and no attempt", l[0])
					}
				}
			})
		})
	}
}

// A job with an empty source is done at once.
func TestEmptySource(t *testing.T) {
	run(t, 0, 2, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		if err := f.within(time.Second); err != nil {
			t.Fatal(err)
		}
		if s := f.Status(); s.State != report.StateDone || s.Objects != (report.ObjectCounts{}) || s.Progress != 1 {
			t.Errorf("status is %+v, want done with nothing", s)
		}
		w.complete(0)
	})
}

// RATE limits the objects handed out a second. A piece goes out when the rate allows it, not with the next event.
func TestRate(t *testing.T) {
	run(t, 100, 10, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", func(c *fetcher.Config) { c.Rate = 10 })
		w.mapper("a", "users", func(c *mapper.Config) { c.Workers = 5 })
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		w.handedOnce(100)
		h := w.tape.handed()
		for i := range h {
			late := h[i].at.Sub(h[0].at) - time.Duration(h[i].Chunk.First)*time.Second/10
			if late < 0 || late > time.Millisecond {
				t.Errorf("piece %s came %s late for 10 objects a second", h[i].Piece(), late)
			}
		}
		w.complete(100)
	})
}

// control sends the fetcher an operator's command.
func (w *world) control(b *bus.Bus, c wire.Control) wire.ControlAnswer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	reply, err := b.Request(ctx, wire.VerbControl, c.Encode())
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := wire.DecodeControlAnswer(reply)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

// An operator pauses, resumes and slows the job.
func TestControl(t *testing.T) {
	run(t, 50, 1, func(t *testing.T, w *world) {
		operator := bus.New(w.net.Connect("operator"), job)
		defer operator.Close()
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users?duration=1s", nil)
		pass(3500 * time.Millisecond) // 4 chunks are out
		ok := func(c wire.Control) {
			t.Helper()
			if a := w.control(operator, c); !a.OK || a.Plan != f.Status().Plan {
				t.Errorf("%s was answered %+v", c.Action, a)
			}
		}
		ok(wire.Control{Action: wire.ControlPause})
		pass(20 * time.Second)
		if s, n := f.Status(), len(w.tape.handed()); n != 4 || !s.Paused || s.Chunks.Saved != 4 {
			t.Errorf("while paused: handed out %d chunks, status %+v", n, s)
		}
		ok(wire.Control{Action: wire.ControlResume})
		pass(2500 * time.Millisecond)
		if s, n := f.Status(), len(w.tape.handed()); n != 7 || s.Paused {
			t.Errorf("after resume: handed out %d chunks, status %+v", n, s)
		}
		ok(wire.Control{Action: wire.ControlRate, Rate: 0.1}) // a chunk each 10 s
		pass(25 * time.Second)
		if n := len(w.tape.handed()); n != 10 {
			t.Errorf("slowed: handed out %d chunks, want 10", n)
		}
		ok(wire.Control{Action: wire.ControlRate})
		pass(5 * time.Second)
		if n := len(w.tape.handed()); n < 14 {
			t.Errorf("not slowed any more: handed out %d chunks", n)
		}
		for _, c := range []wire.Control{{Action: "hurry"}, {Action: wire.ControlRate, Rate: -1}} {
			if a := w.control(operator, c); a.OK || a.Reason == "" {
				t.Errorf("%+v was answered %+v, want a reason why not", c, a)
			}
		}
		if err := f.within(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		w.complete(50)
	})
}

// A cancelled job keeps what is saved, and continues when it is started again.
func TestCancel(t *testing.T) {
	run(t, 10, 1, func(t *testing.T, w *world) {
		operator := bus.New(w.net.Connect("operator"), job)
		defer operator.Close()
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users?duration=1s", nil)
		pass(3500 * time.Millisecond)
		w.control(operator, wire.Control{Action: wire.ControlCancel})
		if err := f.within(time.Second); !errors.Is(err, fetcher.ErrCancelled) {
			t.Fatalf("job ended with %v, want ErrCancelled", err)
		}
		if s := f.Status().State; s != report.StateCancelled {
			t.Errorf("state is %s, want cancelled", s)
		}
		f = w.fetcher("fetcher", nil)
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		w.handedOnce(10) // in both runs together
		w.complete(10)
	})
}

// With ON_DONE=stay the fetcher keeps answering until it is stopped.
func TestStay(t *testing.T) {
	run(t, 4, 2, func(t *testing.T, w *world) {
		operator := bus.New(w.net.Connect("operator"), job)
		defer operator.Close()
		w.saver("saver")
		f := w.fetcher("fetcher", func(c *fetcher.Config) { c.OnDone = "stay" })
		m := w.mapper("a", "users", nil)
		pass(time.Minute)
		wantReady(t, true, f, m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		reply, err := operator.Request(ctx, wire.VerbStatus, wire.StatusQuery{}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if s, err := wire.DecodeStatus(reply); err != nil || s.State != report.StateDone || s.Summary.Output != "memory" || len(s.Mappers) != 1 {
			t.Errorf("status is %+v (%v), want done, with the output and the mapper", s, err)
		}
		if a := w.control(operator, wire.Control{Action: wire.ControlPause}); a.OK {
			t.Error("a done job was paused")
		}
		f.cancel()
		synctest.Wait()
		if err := f.within(time.Second); err != nil {
			t.Errorf("stopped with %v, want nil: the job is done", err)
		}
	})
}

// A fetcher that is stopped before the job is done ends with ErrUnfinished.
func TestUnfinished(t *testing.T) {
	run(t, 4, 2, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		pass(time.Second)
		f.cancel()
		if err := f.within(time.Second); !errors.Is(err, fetcher.ErrUnfinished) {
			t.Errorf("stopped with %v, want ErrUnfinished", err)
		}
	})
}
