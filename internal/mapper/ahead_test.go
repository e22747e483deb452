package mapper_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// part is the first two objects of a chunk of some, which take that part of the chunk's simulated time.
func part(id chunk.ID, of int) wire.Work {
	w := work(id)
	w.Grant[0].Of = of
	return w
}

// asks takes the next request, which the mapper must send after a time since begin.
func (b *bench) asks(begin time.Time, after time.Duration) (*bus.Request, wire.Next) {
	b.t.Helper()
	r, n := b.next()
	if took := time.Since(begin); took != after {
		b.t.Errorf("asks after %s, want %s", took, after)
	}
	return r, n
}

// paced gives a mapper its first work, after which it knows its pace, and returns the next request.
func (b *bench) paced(first wire.Work, takes time.Duration) *bus.Request {
	b.t.Helper()
	r, _ := b.next()
	begin := time.Now()
	reply(b.t, r, first.Encode())
	r, _ = b.asks(begin, takes) // before the first piece its time is not known
	return r
}

// A worker asks 10 ms before the expected end of its grant, and has the next one at once. It has one open
// request at most, and its grants do not overlap.
func TestAhead(t *testing.T) {
	var m *mapper.Mapper
	cfg := mapper.Config{Transform: "users?duration=100ms", Workers: 1, Version: "v1"}
	runRigged(t, cfg, func(made *mapper.Mapper) { m = made }, func(t *testing.T, b *bench) {
		r := b.paced(work(0), 100*time.Millisecond)
		begin := time.Now()
		reply(t, r, work(1).Encode())
		r, n := b.asks(begin, 90*time.Millisecond)
		if !slices.Equal(n.Held, whole(0, 1)) || n.Wait != 500*time.Millisecond {
			t.Errorf("asks ahead for %s, holding %v; want 500ms and chunks 0 and 1", n.Wait, n.Held)
		}
		reply(t, r, grant(2, 3).Encode())
		b.save() // of chunk 0
		b.sends(begin, 100*time.Millisecond, 1)
		r, _ = b.asks(begin, 290*time.Millisecond)
		b.sends(begin, 300*time.Millisecond, 2, 3)
		pass(10 * time.Millisecond)
		if len(b.nexts) > 0 {
			t.Error("asks although a request is open")
		}
		reply(t, r, work(4).Encode())
		b.asks(begin, 400*time.Millisecond)
		b.sends(begin, 410*time.Millisecond, 4)
		if count, sum := waits(t, m); count != 4 || sum != 0.01 {
			t.Errorf("%d waits of %g s in all, want those for 4 grants, of which only the last took 10 ms", count, sum)
		}
	})
}

// sends takes a message with the results of chunks, which the mapper must send after a time since begin.
func (b *bench) sends(begin time.Time, after time.Duration, want ...chunk.ID) {
	b.t.Helper()
	_, s := b.saveAll()
	var got []chunk.ID
	for _, r := range s.Results {
		got = append(got, r.Chunk)
	}
	if took := time.Since(begin); took != after || !slices.Equal(got, want) {
		b.t.Errorf("sends the results of chunks %v after %s, want %v after %s", got, took, want, after)
	}
}

// waits returns how many grants the workers of a mapper have got, and how many seconds they have waited for them.
func waits(t *testing.T, m *mapper.Mapper) (count uint64, seconds float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "chunkline_mapper_wait_duration_seconds" {
			h := family.GetMetric()[0].GetHistogram()
			return h.GetSampleCount(), h.GetSampleSum()
		}
	}
	t.Fatal("the time that workers wait is not measured")
	return 0, 0
}

// The worker does not ask ahead when that would save little, or when the piece must be alone in its mapper, or when
// the next one could not be given back.
func TestAhead_not(t *testing.T) {
	for name, c := range map[string]struct {
		whole time.Duration // of a chunk
		but   func(*wire.Work)
	}{
		"long":    {501 * time.Millisecond, func(*wire.Work) {}},
		"suspect": {100 * time.Millisecond, func(w *wire.Work) { w.Grant[0].Attempt = 2 }},
		"careful": {100 * time.Millisecond, func(w *wire.Work) { w.Grant[0].Careful = true }},
		"shadow":  {100 * time.Millisecond, func(w *wire.Work) { w.Shadow = true }},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, mapper.Config{Transform: "users?duration=" + c.whole.String(), Workers: 1}, func(t *testing.T, b *bench) {
				r := b.paced(work(0), c.whole)
				w := work(1)
				c.but(&w)
				begin := time.Now()
				reply(t, r, w.Encode())
				b.asks(begin, c.whole)
			})
		})
	}
}

// A worker that expects its grant to end soon asks at once.
func TestAhead_atOnce(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=8ms", Workers: 1}, func(t *testing.T, b *bench) {
		r := b.paced(work(0), 8*time.Millisecond)
		begin := time.Now()
		reply(t, r, work(1).Encode())
		b.asks(begin, 0)
	})
}

// A grant goes back when the work before it takes half a second longer than expected, and the worker asks again
// only when that work is done.
func TestAhead_givenBack(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=10s", Workers: 1}, func(t *testing.T, b *bench) {
		r := b.paced(part(0, 200), 100*time.Millisecond)
		begin := time.Now()
		reply(t, r, work(1).Encode()) // takes 10 s, not 100 ms
		r, _ = b.asks(begin, 90*time.Millisecond)
		reply(t, r, grant(2, 3).Encode())
		b.heard()
		pass(499 * time.Millisecond)
		if beats := b.heard(); len(beats) > 0 {
			t.Fatalf("beats after 589 ms: %+v", beats)
		}
		pass(time.Millisecond)
		if beats := b.heard(); len(beats) != 1 || !slices.Equal(beats[0].Held, []chunk.Piece{{To: 2}, {Chunk: 1, To: 2}}) {
			t.Errorf("beats after 590 ms: %+v, want one that lists chunks 0 and 1", beats)
		}
		r, n := b.asks(begin, 10*time.Second)
		if n.Wait != 5*time.Second {
			t.Errorf("the idle worker waits %s, want 5s", n.Wait)
		}
		reply(t, r, wire.Work{Status: wire.WorkNone, Plan: plan.ID(), Epoch: 3}.Encode())
		pass(time.Minute)
		for len(b.saves) > 0 {
			if _, s := b.saveAll(); slices.ContainsFunc(s.Results, func(r wire.Result) bool { return r.Chunk > 1 }) {
				t.Errorf("saves %+v, which it has given back", s.Results)
			}
		}
	})
}

// An answer without work, or none at all, lets the worker ask again once it is idle.
func TestAhead_nothing(t *testing.T) {
	for name, c := range map[string]struct {
		answer wire.WorkStatus
		after  time.Duration // 90 ms + when it asks again
	}{
		"none":      {wire.WorkNone, 10 * time.Millisecond},
		"no answer": {"", 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, mapper.Config{Transform: "users?duration=100ms", Workers: 1}, func(t *testing.T, b *bench) {
				r := b.paced(work(0), 100*time.Millisecond)
				reply(t, r, work(1).Encode())
				r, _ = b.next()
				begin := time.Now()
				if c.answer != "" {
					reply(t, r, wire.Work{Status: c.answer, Plan: plan.ID(), Epoch: 3}.Encode())
				}
				b.asks(begin, c.after)
			})
		})
	}
}

// A fetcher that is replaced does not answer. The hello of the next one ends the request, and the worker asks again
// once it is idle.
func TestAhead_hello(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=100ms", Workers: 1}, func(t *testing.T, b *bench) {
		r := b.paced(work(0), 100*time.Millisecond)
		begin := time.Now()
		reply(t, r, work(1).Encode())
		_, open := b.next()
		b.hello(4)
		if _, n := b.asks(begin, 100*time.Millisecond); slices.Contains(n.Asking, open.Seq) {
			t.Errorf("request %d is still open", open.Seq)
		}
	})
}

// The fetcher may order a mapper to drop what it has taken ahead.
func TestAhead_drop(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=100ms", Workers: 1}, func(t *testing.T, b *bench) {
		r := b.paced(work(0), 100*time.Millisecond)
		begin := time.Now()
		reply(t, r, work(1).Encode())
		r, _ = b.next()
		reply(t, r, grant(2, 3).Encode())
		if err := b.order(wire.Order{Plan: plan.ID(), Kind: wire.OrderDrop, Piece: chunk.Piece{Chunk: 2, To: 2}}); err != nil {
			t.Fatal(err)
		}
		b.asks(begin, 200*time.Millisecond) // chunk 3 was expected to take as long as both
		for _, want := range []chunk.ID{0, 1, 3} {
			if _, s := b.save(); s.Chunk != want {
				t.Errorf("saves chunk %d, want %d", s.Chunk, want)
			}
		}
	})
}

// A mapper that stops does not ask ahead any more, and finishes what it has taken ahead.
func TestAhead_drain(t *testing.T) {
	for name, taken := range map[string]bool{"before it asks": false, "when it has a grant": true} {
		t.Run(name, func(t *testing.T) {
			run(t, mapper.Config{Transform: "users?duration=100ms", Workers: 1, StopTimeout: time.Minute}, func(t *testing.T, b *bench) {
				r := b.paced(work(0), 100*time.Millisecond)
				reply(t, r, work(1).Encode())
				results := 2
				if taken {
					r, _ = b.next()
					reply(t, r, work(2).Encode())
					results = 3
				}
				b.cancel()
				for range results {
					r, _ := b.save()
					reply(t, r, statuses(wire.SaveCommitted))
				}
				if err := <-b.done; err != nil {
					t.Errorf("Run returned %v after a drain", err)
				}
				if len(b.nexts) > 0 {
					t.Error("a mapper that stops asks for work")
				}
				if beat := b.last(); !beat.Goodbye {
					t.Errorf("last beat is %+v, want a goodbye", beat)
				}
			})
		})
	}
}

// A worker does not ask ahead if there is no memory for one more chunk like that in work. When it is idle it may ask.
func TestAhead_memory(t *testing.T) {
	for name, c := range map[string]struct {
		memory int64
		after  time.Duration
	}{
		"enough":     {2 << 20, 90 * time.Millisecond},
		"too little": {1 << 20, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, mapper.Config{Transform: "users?duration=100ms", Workers: 1, Memory: c.memory}, func(t *testing.T, b *bench) {
				large := func(id chunk.ID) wire.Work { // takes 0.6 MiB, and its result little
					w := work(id)
					c := &w.Grant[0].Chunk
					c.Body = append([]byte(`{"x":"`+string(bytes.Repeat([]byte("x"), 300<<10))+`",`), c.Body[1:]...)
					w.Grant[0].Digest = c.Digest()
					return w
				}
				r := b.paced(large(0), 100*time.Millisecond)
				begin := time.Now()
				reply(t, r, large(1).Encode())
				b.asks(begin, c.after)
			})
		})
	}
}

// A mapper that takes another transform while a worker maps finishes that grant with the transform that it had, and
// asks with the new one.
func TestAhead_transform(t *testing.T) {
	run(t, mapper.Config{Workers: 1}, func(t *testing.T, b *bench) {
		refusal := wire.Work{Status: wire.WorkRefused, Plan: plan.ID(), Epoch: 3, Reason: "another transform", Transform: "users?duration=100ms"}
		r, _ := b.next()
		reply(t, r, refusal.Encode())
		r = b.paced(work(0), 100*time.Millisecond)
		reply(t, r, work(1).Encode())
		r, old := b.next()
		refusal.Transform = "identity"
		reply(t, r, refusal.Encode())
		b.save()
		if _, s := b.save(); s.Chunk != 1 || s.Mapper != old.Mapper || bytes.HasPrefix(s.Outputs, []byte(`{"uuid"`)) {
			t.Errorf("saves chunk %d as %+v: %s; want chunk 1 as %+v", s.Chunk, s.Mapper, s.Outputs, old.Mapper)
		}
		r, n := b.next()
		if n.Mapper.Transform != "identity" {
			t.Errorf("asks with %q, want identity", n.Mapper.Transform)
		}
		reply(t, r, work(2).Encode())
		if _, s := b.save(); s.Mapper != n.Mapper || !bytes.HasPrefix(s.Outputs, []byte(`{"uuid"`)) {
			t.Errorf("saves as %+v: %s; want identity", s.Mapper, s.Outputs)
		}
	})
}
