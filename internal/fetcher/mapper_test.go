package fetcher_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// TestMapperLog: invented mappers cause a bounded number of log lines, and the log of a
// mapper that held nothing does not mention chunks.
func TestMapperLog(t *testing.T) {
	const invented = 500
	var b *bench
	run(t, 10, func(t *testing.T, running *bench) {
		b = running
		b.wantWork(b.ask(next("m3", 1)), 0)
		for i := range invented {
			b.beat(fmt.Sprintf("x%d", i), 1, nil)
		}
		pass(90 * time.Second) // all have fallen silent, and the minute has ended
		if gone := len(b.Status().Gone); gone == 0 {
			t.Error("no mapper is listed as gone")
		}
	})
	log := b.log.String()
	for what, want := range map[string]int{
		"mapper joined": 20, "it held no piece": 20, "its pieces are requeued": 1, "these had no line of their own": 1,
	} {
		if n := strings.Count(log, what); n != want {
			t.Errorf("%d log lines have %q, want %d", n, what, want)
		}
	}
	for line := range strings.SplitSeq(log, "\n") {
		if strings.Contains(line, "are requeued") && !strings.Contains(line, `"mapper_id":"m3"`) {
			t.Errorf("the log says that a mapper without pieces lost some: %s", line)
		}
		if strings.Contains(line, "no line of their own") && !strings.Contains(line, `"came":481,"went":480,"went_with_pieces":0`) {
			t.Errorf("the summary of the other mappers is %s", line)
		}
	}
}

// TestNotSlow: of two mappers that are equally fast, that whose worker has taken pieces ahead does not count as slow.
func TestNotSlow(t *testing.T) {
	run(t, 400, func(t *testing.T, b *bench) {
		m1, m2 := &fakeMapper{b: b, mapper: "m1"}, &fakeMapper{b: b, mapper: "m2"}
		for range 10 {
			for _, m := range []*fakeMapper{m1, m2} {
				w, ok := got(m.ask())
				if !ok {
					t.Fatal("no chunk")
				}
				m.saved(w, 0)
			}
			pass(time.Second)
		}
		var held []chunk.ID
		for range 3 {
			m1.seq++
			w, _ := got(b.ask(b.next("m1", m1.seq, held...)))
			held = append(held, only(w).Chunk.ID)
		}
		m2.ask()
		pass(300 * time.Millisecond)
		for i, m := range b.Status().Mappers {
			if want := []int{3, 1}[i]; m.Held != want || m.Rate == 0 || m.Slow {
				t.Errorf("mapper %s holds %d pieces, does %g objects a second, slow: %t; want %d pieces, some objects, and not slow", m.Name, m.Held, m.Rate, m.Slow, want)
			}
		}
	})
}
