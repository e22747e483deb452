package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
)

// With one mapper 100 times slower than the nine others, backup attempts keep a job under 1.3 times
// its length, at less than 10 % extra work. Without them the job waits for the slow mapper.
func TestOneSlowMapper(t *testing.T) {
	const (
		fast = time.Second
		slow = 100 * fast
	)
	for _, chunks := range []int{50, 100, 1000} {
		t.Run(fmt.Sprintf("%d chunks", chunks), func(t *testing.T) {
			var even, held, helped time.Duration
			var backups, wins uint64
			t.Run("jobs", func(t *testing.T) { // ends when all three have
				for name, job := range map[string]struct {
					slowest   time.Duration
					speculate bool
					took      *time.Duration
				}{
					"ten alike":          {fast, true, &even},
					"no backup attempts": {slow, false, &held},
					"backup attempts":    {slow, true, &helped},
				} {
					t.Run(name, func(t *testing.T) {
						run(t, chunks, 1, func(t *testing.T, w *world) {
							w.saver("saver")
							f := w.fetcher("fetcher", func(c *fetcher.Config) { c.Speculate = job.speculate })
							begin := time.Now()
							for i := range 9 {
								w.mapper(fmt.Sprint("fast-", i), "users?duration="+fast.String(), nil)
							}
							w.mapper("slow", "users?duration="+job.slowest.String(), nil)
							if err := f.within(time.Hour); err != nil {
								t.Fatal(err)
							}
							*job.took = f.ended.Sub(begin)
							w.complete(chunks)
							if name == "backup attempts" {
								backups, wins = f.Status().Chunks.Backups, f.Status().Chunks.BackupWins
							}
						})
					})
				}
			})
			t.Logf("ten alike %s, one slow %s, with %d backup attempts (%d won) %s", even, held, backups, wins, helped)
			if held < slow {
				t.Errorf("without backup attempts it took %s: the slow mapper did nothing", held)
			}
			if helped >= even*13/10 {
				t.Errorf("it took %s, want less than 1.3 times %s", helped, even)
			}
			if extra := float64(backups) / float64(chunks); extra >= 0.1 || wins == 0 {
				t.Errorf("%d backup attempts for %d chunks, %d of them won; want some, and less than 10 %%", backups, chunks, wins)
			}
		})
	}
}
