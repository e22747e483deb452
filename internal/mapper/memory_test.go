package mapper_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// bigWork is a chunk of one object of n bytes.
func bigWork(id chunk.ID, n int) wire.Work {
	body := slices.Concat([]byte(`"`), bytes.Repeat([]byte("x"), n-3), []byte("\"\n"))
	c := chunk.Chunk{ID: id, First: uint64(id), Count: 1, Body: body}
	return wire.Work{Status: wire.WorkGrant, Plan: plan.ID(), Epoch: 3, Grant: []wire.Granted{
		{Chunk: c, Of: 1, Digest: c.Digest(), Attempt: 1, Token: strings.Repeat("0a", 16)},
	}}
}

// feed answers requests for work until there are none, and returns how many.
func (b *bench) feed(from chunk.ID, size int) (given chunk.ID) {
	b.t.Helper()
	for {
		synctest.Wait()
		select {
		case r := <-b.nexts:
			reply(b.t, r, bigWork(from+given, size).Encode())
			given++
		default:
			return given
		}
		if given > 10_000 {
			b.t.Fatal("the mapper asks for work without bound while nothing is saved")
		}
	}
}

// TestMemory: while the saver is away a mapper asks until its memory is full, whatever
// its results are, then not at all; it goes on holding and beating, loses nothing,
// and asks again when a result is saved.
func TestMemory(t *testing.T) {
	for name, c := range map[string]struct {
		transform string
		size      int
		least     chunk.ID // chunks until it is full
		most      chunk.ID
	}{
		"small outputs": {"jq:1", 64 << 10, 10, 70},
		"no outputs":    {"jq:empty", 1 << 10, 10, 70},
		"dead letters":  {`jq:error("no")`, 64 << 10, 5, 14},
		"as they were":  {"identity", 64 << 10, 5, 14},
		"one too large": {"identity", 2 << 20, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var b *bench
			cfg := mapper.Config{Transform: c.transform, Workers: 2, Memory: 1 << 20, Version: "v1", StopTimeout: time.Second}
			runRigged(t, cfg, (*mapper.Mapper).InProcess, func(t *testing.T, running *bench) {
				b = running
				if c.size > 1<<20 { // the first chunk says how large they are: until then each worker asks
					c.most = 2
				}
				given := b.feed(0, c.size)
				if given < c.least || given > c.most {
					t.Fatalf("the mapper took %d chunks, want %d to %d", given, c.least, c.most)
				}
				b.heard()
				pass(30 * time.Second)
				beats := b.heard()
				if len(beats) < 29 || len(beats[0].Held) != int(given) || len(beats[len(beats)-1].Held) != int(given) {
					t.Errorf("%d beats in 30 s, the last one %+v, want one a second, all chunks held", len(beats), beats[len(beats)-1])
				}
				if len(b.nexts) > 0 {
					t.Error("the mapper asks for work although its memory is full")
				}
				saved := map[chunk.ID]bool{}
				for range 60 { // the saver is back; what was sent before has timed out
					for len(b.saves) > 0 {
						r, s := b.save()
						saved[s.Chunk] = true
						reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Statuses: []wire.SaveStatus{wire.SaveCommitted}}.Encode())
					}
					if len(b.last().Held) == 0 {
						break
					}
				}
				if held := b.last().Held; len(held) > 0 || len(saved) != int(given) {
					t.Errorf("%d of %d results saved, %v held", len(saved), given, held)
				}
				if len(b.nexts) == 0 {
					t.Error("the mapper does not ask again")
				}
			})
			for _, line := range []string{"asking for no more chunks", "asking for chunks again"} {
				if n := strings.Count(b.log.String(), line); n != 1 {
					t.Errorf("%d log lines have %q, want 1:\n%s", n, line, b.log.String())
				}
			}
		})
	}
}
