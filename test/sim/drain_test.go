package sim

import (
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/mapper"
)

// A mapper that is stopped finishes its chunk, gets no more and sends a goodbye.
func TestDrain(t *testing.T) {
	run(t, 2, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		a := w.mapper("a", "users?duration=10s", nil)
		begin := time.Now()
		pass(5 * time.Second)
		a.cancel()
		if err := a.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("stopped %s after it began a chunk of 10s", took)
		}
		pass(0)
		if n := w.tape.goodbyes("a"); n != 1 || len(f.Status().Mappers) != 1 {
			t.Errorf("%d goodbyes, want 1; status lists %v", n, f.Status().Mappers)
		}
		pass(time.Second)
		if s := f.Status(); len(s.Mappers) != 0 || s.Chunks.Saved != 1 || s.Chunks.InFlight != 0 || s.Chunks.Ready != 1 {
			t.Errorf("status is %+v, want no mapper, a chunk saved and one ready", s)
		}
		w.mapper("b", "users", nil)
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		if s := f.Status().Chunks; s.Redelivered != 0 || len(w.tape.handed()) != 2 {
			t.Errorf("status counts %+v, want no redelivery", s)
		}
		w.complete(2)
	})
}

// A mapper gives back the chunks that it cannot finish within StopTimeout. Another mapper gets them
// at once, and no attempt is counted.
func TestDrainGivesBack(t *testing.T) {
	run(t, 1, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		a := w.mapper("a", "users?duration=10s", func(c *mapper.Config) { c.StopTimeout = 2 * time.Second })
		w.mapper("b", "users", nil)
		pass(5 * time.Second)
		begin := time.Now()
		a.cancel()
		if err := a.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("stopped after %s, want the 2s of StopTimeout", took)
		}
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		h := w.tape.handed()
		if len(h) != 2 || h[1].to != "b" || h[1].Attempt != 1 {
			t.Fatalf("handed out %+v, want the first attempt again, to b", h)
		}
		if took := h[1].at.Sub(a.ended); took > 50*time.Millisecond {
			t.Errorf("handed to b %s after a ended, want after at most 50 ms, in which a confirmation may come", took)
		}
		if n := w.tape.goodbyes("a"); n != 1 {
			t.Errorf("%d goodbyes, want 1", n)
		}
		if n := w.log.lines("gave back pieces"); n != 1 {
			t.Errorf("%d log lines say that pieces were given back, want 1", n)
		}
		w.complete(1)
	})
}

// A mapper that finds no fetcher stops at once.
func TestDrain_withoutFetcher(t *testing.T) {
	run(t, 0, 2, func(t *testing.T, w *world) {
		a := w.mapper("a", "users", func(c *mapper.Config) { c.Workers = 4 })
		pass(1300 * time.Millisecond)
		begin := time.Now()
		a.cancel()
		if err := a.within(time.Minute); err != nil || time.Since(begin) != 0 {
			t.Errorf("stopped after %s (%v), want at once", time.Since(begin), err)
		}
	})
}

// The fetcher releases an idle mapper that stops at once, and sends it no chunk.
func TestDrain_whileWaiting(t *testing.T) {
	run(t, 2, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users?duration=10s", nil)
		w.mapper("b", "users?duration=10s", nil)
		pass(time.Second)
		c := w.mapper("c", "users", nil)
		pass(time.Second)
		begin := time.Now()
		c.cancel()
		if err := c.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("stopped after %s, want at once", took)
		}
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		if s := f.Status().Chunks; s.Redelivered != 0 || len(w.tape.handed()) != 2 {
			t.Errorf("status counts %+v, want no redelivery", s)
		}
	})
}
