package fetcher

import (
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/rollout"
)

// TestSizeFor: a grant has at least 25 ms of work, a piece at most 5 s and at most 100 ms of the rate, and at
// the end of the source all workers get a share.
func TestSizeFor(t *testing.T) {
	t.Parallel()
	conn := bustest.NewMemory(bustest.Options{}).Connect("fetcher")
	defer conn.Close()
	silent := bus.New(conn, "job")
	for name, c := range map[string]struct {
		pace      time.Duration // of the request
		version   time.Duration // of earlier requests of the version
		cut       bool
		remaining int // chunks of 100
		workers   int
		object    uint64 // bytes
		grain     int
		rate      float64
		want      size
	}{
		"unknown":                    {want: size{1, 1}},
		"quick":                      {pace: 10 * time.Microsecond, want: size{2500, 500_000}},
		"a chunk":                    {pace: time.Millisecond, want: size{25, 5000}},
		"half a second":              {pace: 500 * time.Millisecond, want: size{1, 10}},
		"a minute":                   {pace: time.Minute, want: size{1, 1}},
		"a nanosecond":               {pace: 1, want: size{maxGrantObjects, maxGrantBytes}},
		"as its version":             {version: 500 * time.Millisecond, want: size{1, 10}},
		"slower than its version":    {pace: 5 * time.Second, version: 500 * time.Millisecond, want: size{1, 1}},
		"the end, slow":              {pace: 500 * time.Millisecond, cut: true, remaining: 2, workers: 25, want: size{1, 4}},
		"the very end, slow":         {pace: 500 * time.Millisecond, cut: true, remaining: 1, workers: 100, want: size{1, 1}},
		"the end, quick":             {pace: 100 * time.Microsecond, cut: true, remaining: 2, workers: 25, want: size{250, 250}},
		"much is left":               {pace: time.Millisecond, cut: true, remaining: 1000, workers: 4, want: size{25, 5000}},
		"large objects":              {pace: time.Millisecond, object: 83_000, want: size{25, 6}},
		"objects above max_payload":  {pace: time.Millisecond, object: 2 << 20, want: size{25, 1}},
		"batches, unknown":           {grain: 40, want: size{40, 40}},
		"batches, slow":              {pace: 4 * time.Second, grain: 40, want: size{40, 40}},
		"batches, quick":             {pace: time.Millisecond, grain: 40, want: size{40, 5000}},
		"batches, the end":           {pace: time.Second, grain: 40, cut: true, remaining: 2, workers: 25, want: size{40, 40}},
		"a rate":                     {pace: time.Millisecond, rate: 100, want: size{10, 10}},
		"a low rate":                 {pace: time.Millisecond, rate: 0.5, want: size{1, 1}},
		"a high rate":                {pace: time.Millisecond, rate: 1e300, want: size{25, 5000}},
		"a rate, batches":            {pace: time.Millisecond, rate: 100, grain: 40, want: size{40, 40}},
		"no worker has been counted": {pace: 500 * time.Millisecond, cut: true, remaining: 2, want: size{1, 10}},
	} {
		co := &coordinator{f: &Fetcher{bus: silent}, ledger: ledger.New(ledger.Config{}), cut: c.cut, rate: c.rate, slots: c.workers, objects: 1000, bytes: 1000 * max(1, c.object)}
		for range c.remaining {
			co.ledger.Add(time.Unix(0, 0), 100)
		}
		m := &mapper{of: &version{Version: &rollout.Version{}, objectTime: c.version}}
		if got := co.sizeFor(m, c.pace, c.grain); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestPageOf: the saver is asked about so few chunks at a time that its answer can be read even if each object was
// saved by itself.
func TestPageOf(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{1: 8192, 64: 8192, 100: 5242, 1000: 524, chunk.MaxSize: 52} {
		if got := pageOf(chunk.Plan{Size: size}); got != want {
			t.Errorf("with chunks of %d objects a page covers %d, want %d", size, got, want)
		}
	}
}
