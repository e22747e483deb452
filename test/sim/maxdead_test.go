package sim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
)

// A job that fails on its last confirmation is not merged as if it were done. A wrong build merges
// it once in a hundred runs, depending on the order of goroutines, so the test repeats it.
func TestMaxDeadAtTheEnd(t *testing.T) {
	for i := range 600 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			run(t, 10, 10, func(t *testing.T, w *world) {
				w.rewrite(user(3), "{broken")
				w.saver("saver")
				f := w.fetcher("fetcher", func(c *fetcher.Config) { c.MaxDead = 0 })
				w.mapper("a", "users", nil)
				if err := f.within(time.Minute); !errors.Is(err, fetcher.ErrTooManyDead) {
					t.Fatalf("job ended with %v, want ErrTooManyDead", err)
				}
				pass(time.Second)
				if s := w.sink.Summary(); s.Output != "" || s.Chunks != 1 {
					t.Errorf("the sink holds %+v, want the chunk, not merged", s)
				}
			})
		})
	}
}
