package sim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// fences makes a fetcher fence a version when half of its objects fail. It hands out a chunk each
// 100 ms; otherwise a mapper would get all of them before the first is saved.
func fences(c *fetcher.Config) { c.BreakAt, c.BreakFor, c.Rate = 0.5, 10*time.Minute, 10 }

func version(name string) func(*mapper.Config) { return func(c *mapper.Config) { c.Version = name } }

// fails is v2's transform.
const fails = `jq:error("bad")`

// savesLate delays the results of the slow mapper, which gets no chunk meanwhile.
func savesLate(p bustest.Packet) bustest.Fate {
	if p.From != "slow" || p.Reply {
		return bustest.Fate{}
	}
	if _, err := wire.DecodeSave(p.Message); err == nil {
		return bustest.Fate{Delay: 8 * time.Second}
	}
	next, err := wire.DecodeNext(p.Message)
	return bustest.Fate{Drop: err == nil && len(next.Held) > 0}
}

// fenceVersion runs a job in which v2 is fenced while its slow mapper holds chunk 0.
func fenceVersion(t *testing.T, test func(t *testing.T, w *world, f, bad *role)) {
	run(t, 20, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", fences)
		w.tape.faults(savesLate)
		w.mapper("slow", fails, version("v2"))
		pass(time.Second)
		bad := w.mapper("bad", fails, version("v2"))
		w.until(5*time.Second, "v2 to be fenced", func() bool { return w.sink.Term("v2") > 0 })
		test(t, w, f, bad)
	})
}

// ended waits for the end of the job. Only objects that v2 saved before it was fenced may be dead
// letters.
func (w *world) ended(t *testing.T, f *role) {
	t.Helper()
	if err := f.within(30 * time.Second); !errors.Is(err, app.ErrDeadLetters) {
		t.Fatalf("job ended with %v, want ErrDeadLetters", err)
	}
	var ordinals []int
	for id := range chunk.ID(20) {
		if r, _ := w.sink.Result(id); r.Version == "v2" && r.Term == 0 {
			ordinals = append(ordinals, int(id))
		}
	}
	w.complete(20, ordinals...)
	if r, _ := w.sink.Result(0); r.Version != "v1" {
		t.Errorf("chunk 0 is saved from version %s, which was fenced while it had it", r.Version)
	}
}

// TestFenceVersion_held: chunks that a version holds when it is fenced are redelivered at once.
func TestFenceVersion_held(t *testing.T) {
	fenceVersion(t, func(t *testing.T, w *world, f, _ *role) {
		w.mapper("good", "users", nil)
		w.until(5*time.Second, "another to have chunk 0 saved", func() bool { _, there := w.sink.Result(0); return there })
		w.ended(t, f)
	})
}

// TestFenceVersion_late: a mapper that misses the order to drop its chunk has its result refused,
// also by a restarted saver; another mapper maps the chunk.
func TestFenceVersion_late(t *testing.T) {
	for name, restart := range map[string]bool{"same saver": false, "saver restarted": true} {
		t.Run(name, func(t *testing.T) {
			run(t, 20, 1, func(t *testing.T, w *world) {
				deaf := func(p bustest.Packet) bustest.Fate {
					_, err := wire.DecodeOrder(p.Message)
					if p.To == "slow" && err == nil {
						return bustest.Fate{Drop: true}
					}
					return savesLate(p)
				}
				w.tape.faults(deaf)
				s := w.saver("saver")
				f := w.fetcher("fetcher", fences)
				w.mapper("slow", fails, version("v2"))
				pass(time.Second)
				w.mapper("bad", fails, version("v2"))
				w.until(5*time.Second, "v2 to be fenced", func() bool { return w.sink.Term("v2") > 0 })
				if restart {
					s.crash()
					w.saver("saver")
				}
				pass(3 * time.Second)
				w.mapper("good", "users", nil)
				w.ended(t, f)
				if late := w.tape.sent("slow"); len(late) == 0 || late[0].Chunk != 0 {
					t.Errorf("the slow mapper sent %d results: nothing came late", len(late))
				}
			})
		})
	}
}

// TestFenceVersion_takeover: the next fetcher's leases are valid, also for versions that were
// fenced before.
func TestFenceVersion_takeover(t *testing.T) {
	fenceVersion(t, func(t *testing.T, w *world, f, bad *role) {
		bad.crash()
		f.crash()
		f = w.fetcher("fetcher", nil)
		w.mapper("mended", fails, version("v2"))
		if err := f.within(time.Minute); !errors.Is(err, app.ErrDeadLetters) {
			t.Fatalf("job ended with %v, want ErrDeadLetters", err)
		}
		if r, _ := w.sink.Result(19); r.Version != "v2" {
			t.Errorf("the last chunk is of version %q, want v2", r.Version)
		}
	})
}

// TestFenceVersion_probe: the saver commits each probe of a fenced version.
func TestFenceVersion_probe(t *testing.T) {
	run(t, 20, 1, func(t *testing.T, w *world) {
		w.saver("saver")
		f := w.fetcher("fetcher", func(c *fetcher.Config) { fences(c); c.BreakFor = time.Second })
		w.mapper("bad", fails, version("v2"))
		var first uint64
		for n := uint64(1); n <= 3; n++ {
			w.until(10*time.Second, fmt.Sprintf("v2 to be fenced %d times", n), func() bool { return w.sink.Term("v2") == n })
			if saved := w.sink.Summary().Chunks; n > 1 && saved != first+n-1 {
				t.Errorf("%d chunks are saved when it is fenced the %dth time, want one more for each probe after %d", saved, n, first)
			} else if n == 1 {
				first = saved
			}
		}
		w.mapper("good", "users", nil)
		if err := f.within(30 * time.Second); !errors.Is(err, app.ErrDeadLetters) {
			t.Fatalf("job ended with %v, want ErrDeadLetters", err)
		}
	})
}
