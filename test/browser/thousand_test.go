//go:build browser

package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// TestThousand: the page shows a thousand mappers and ten thousand chunks, and
// its filter finds one mapper. With -viewer it measures the fetcher's CPU time.
func TestThousand(t *testing.T) {
	const mappers, chunks = 1000, 10_000
	hold := 5 * time.Second // so that the job lasts for most of a minute
	if *viewer > 0 {
		hold = max(hold, 8**viewer/(chunks/mappers)) // so that the job outlasts the measurement
	}
	j := startJob(t, proc.Users(t, t.TempDir(), chunks*10), "CHUNK_SIZE=10")
	startExtras(t, j.URL, mappers, hold)
	j.fetcher.AwaitStatus("a thousand mappers at work", func(s report.Status) bool { return len(s.Mappers) == mappers && s.Chunks.InFlight >= mappers*9/10 })
	if *viewer > 0 {
		measureViewer(t, j)
	}

	b := open(t, j.fetcher.Address())
	b.size(wall)
	const rows = `[...document.querySelectorAll("#mappers tbody tr[data-mapper]")].filter(e => e.checkVisibility()).length`
	b.await("the first of them", rows+` > 0`)
	b.click("#mappers-all")
	b.await("their rows", fmt.Sprintf("%s === %d", rows, mappers))
	b.await("all chunks on the map", fmt.Sprintf(`(d => Number(d.saved) + Number(d.inFlight) + Number(d.ready) === %d && Number(d.saved) > 0)(%s.dataset)`, chunks, one("#map")))
	b.enter("#mapper-filter", "mapper-0427")
	b.await("the one that is looked for", rows+` === 1 && document.querySelector("#mappers tbody").innerText.includes("mapper-0427")`)
	b.enter("#mapper-filter", "nobody")
	b.await("no mapper of another name", rows+` === 0`)
}

// measureViewer logs what one viewer costs the fetcher, in per cent of a core:
// its CPU time with an open page, minus that without, measured in turns.
func measureViewer(t *testing.T, j *job) {
	t.Helper()
	const turns = 3
	var with, without time.Duration
	for range turns {
		without += cpuOver(t, j.fetcher, *viewer)
		b := open(t, j.fetcher.Address())
		b.size(wall)
		b.await("a connection", connected)
		with += cpuOver(t, j.fetcher, *viewer)
		b.close()
	}
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / (turns * viewer.Seconds()) }
	t.Logf("the fetcher takes %.2f %% of a core without a viewer, %.2f %% with one: %.2f %%", share(without), share(with), share(with-without))
}

// cpuOver returns the CPU time that a process takes in a span of time.
func cpuOver(t *testing.T, p *proc.Process, span time.Duration) time.Duration {
	t.Helper()
	before := cpu(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	<-ctx.Done()
	return cpu(t, p) - before
}

// cpu returns the CPU time that the threads of a process have taken (Linux), in nanoseconds.
func cpu(t *testing.T, p *proc.Process) (total time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.PID()))
	if err != nil || len(threads) == 0 {
		t.Fatalf("find the threads of %s: %v", p.Label, err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			t.Fatal(err)
		}
		taken, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(taken, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += time.Duration(ns)
	}
	return total
}
