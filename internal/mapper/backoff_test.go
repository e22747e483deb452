package mapper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// A fetcher that is frozen is worth one line for all workers, and its return
// another.
func TestFetcherFrozen(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 3}, func(t *testing.T, b *bench) {
		pass(time.Minute) // the requests get no answer
		if b.ready() == nil {
			t.Error("ready without a fetcher")
		}
		for len(b.nexts) > 0 {
			<-b.nexts
		}
		for range 6 {
			r, _ := b.next()
			reply(t, r, wire.Work{Status: wire.WorkNone, Plan: plan.ID(), Epoch: 1}.Encode())
		}
		if err := b.ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		b.cancel()
		<-b.done
		for _, line := range []string{"no answer from the fetcher", "the fetcher answers again"} {
			if n := strings.Count(b.log.String(), line); n != 1 {
				t.Errorf("%d log lines have %q, want 1:\n%s", n, line, b.log.String())
			}
		}
	})
}
