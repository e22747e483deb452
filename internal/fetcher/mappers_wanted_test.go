package fetcher

import (
	"testing"
	"time"
)

// TestWantedMappers: the number of mappers for an autoscaler.
func TestWantedMappers(t *testing.T) {
	t.Parallel()
	base := need{open: 40, left: 1000, here: 2, workers: 4}
	for name, c := range map[string]struct {
		change func(*need)
		want   int
	}{
		"as many as could work":           {func(*need) {}, 10},
		"a part of a mapper is one":       {func(n *need) { n.open = 41 }, 11},
		"none when the job is over":       {func(n *need) { n.over = true }, 0},
		"none when all is saved":          {func(n *need) { n.open, n.left = 0, 0 }, 0},
		"one when nothing is ready yet":   {func(n *need) { n.open = 0 }, 1},
		"in time":                         {func(n *need) { n.target, n.within, n.median = true, 500*time.Second, 10*time.Second }, 5},
		"in time, but not more than work": {func(n *need) { n.target, n.within, n.median = true, time.Second, 10*time.Second }, 10},
		"there is plenty of time":         {func(n *need) { n.target, n.within, n.median = true, 100*time.Hour, time.Second }, 1},
		"too late: all that can help":     {func(n *need) { n.target, n.within, n.median = true, -time.Second, time.Second }, 10},
		"nothing measured: as it is":      {func(n *need) { n.target, n.within = true, time.Hour }, 2},
		"nothing measured, no mapper":     {func(n *need) { n.target, n.within, n.here = true, time.Hour, 0 }, 1},
		"no more than the rate feeds":     {func(n *need) { n.rate, n.median = 6, 2*time.Second }, 3},
		"a rate that feeds more":          {func(n *need) { n.rate, n.median = 600, 2*time.Second }, 10},
		"a rate, and nothing measured":    {func(n *need) { n.rate = 6 }, 2},
		"in time, but for the rate":       {func(n *need) { n.target, n.within, n.median, n.rate = true, 500*time.Second, 10*time.Second, 0.4 }, 1},
		"what fails needs no more":        {func(n *need) { n.useless = true }, 2},
	} {
		n := base
		c.change(&n)
		if got := n.mappers(); got != c.want {
			t.Errorf("%s: %d mappers, want %d", name, got, c.want)
		}
	}
}
