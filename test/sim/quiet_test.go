package sim

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
)

// quiet fails the test if a role has logged more than most lines that are not about one chunk,
// debug included, or more than four about the same chunk, hand-outs aside.
func (w *world) quiet(most int) {
	w.t.Helper()
	said, chunks := map[string]int{}, map[string]int{}
	for line := range strings.Lines(w.log.String()) {
		var l struct {
			Name, Message string
			Chunk         *uint64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			w.t.Fatalf("log line %q: %v", line, err)
		}
		switch {
		case l.Chunk == nil:
			said[l.Name]++
		case l.Message != "piece handed out": // one line a hand-out, and an outage causes some
			chunks[fmt.Sprint(l.Name, " of chunk ", *l.Chunk)]++
		}
	}
	for name, n := range said {
		if n > most {
			w.t.Errorf("%s logged %d lines, want at most %d", name, n, most)
		}
	}
	for what, n := range chunks {
		if n > 4 {
			w.t.Errorf("%s logged %d lines, want at most 4", what, n)
		}
	}
}

const outage = 20 * time.Minute

// TestQuiet: a long outage of any part adds only a few lines to each role's log, at debug too.
func TestQuiet(t *testing.T) {
	for name, outlast := range map[string]func(w *world, saver, fetcher *role) *role{
		"nats": func(w *world, _, f *role) *role {
			w.net.Away()
			pass(outage)
			w.net.Back()
			return f
		},
		"saver": func(w *world, s, f *role) *role {
			s.crash()
			pass(outage)
			w.saver("saver")
			return f
		},
		"saver frozen": func(w *world, _, f *role) *role {
			w.net.Pause("saver")
			pass(outage)
			w.net.Resume("saver")
			return f
		},
		"fetcher": func(w *world, _, f *role) *role {
			f.crash()
			pass(outage)
			return w.fetcher("fetcher", nil)
		},
		"fetcher frozen": func(w *world, _, f *role) *role {
			w.net.Pause("fetcher")
			pass(outage)
			w.net.Resume("fetcher")
			return f
		},
		"mapper frozen": func(w *world, _, f *role) *role {
			w.net.Pause("a")
			pass(outage)
			w.net.Resume("a")
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 20, 1, func(t *testing.T, w *world) {
				s := w.saver("saver")
				f := w.fetcher("fetcher", nil)
				w.mapper("a", "users?duration=10s", twoWorkers)
				pass(15 * time.Second)
				f = outlast(w, s, f)
				w.mapper("b", "users", nil)
				if err := f.within(10 * time.Minute); err != nil {
					t.Fatal(err)
				}
				w.quiet(20)
				w.complete(20)
			})
		})
	}
}

// TestQuietFull: a disk that is full at the merge is logged once, and so is one that is full at the
// claim.
func TestQuietFull(t *testing.T) {
	run(t, 4, 2, func(t *testing.T, w *world) {
		var full atomic.Bool
		full.Store(true)
		w.sink.OnFinish = func() error {
			if full.Load() {
				return sink.ErrFull
			}
			return nil
		}
		w.sink.OnClaim = func() error {
			if full.Swap(true) { // full again once a claim is accepted
				return sink.ErrFull
			}
			return nil
		}
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users", nil)
		pass(outage)
		full.Store(false)
		w.until(time.Minute, "the claim", func() bool { return f.Status().Epoch > 0 })
		pass(outage)
		if s := f.Status(); s.State != report.StateFinishing || s.Bottleneck == nil || s.Bottleneck.Cause != report.CauseFull {
			t.Errorf("%s, bottleneck %+v; want a full sink while it is merged", s.State, s.Bottleneck)
		}
		full.Store(false)
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		w.once("could not record a claim")
		w.once("could not finish the job")
		w.quiet(20)
	})
}
