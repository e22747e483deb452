package fetcher

import (
	"math"
	"time"

	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
)

// need is what decides how many mappers are wanted.
type need struct {
	over    bool          // the job has ended, or is paused
	open    float64       // chunks that a mapper can work at now
	left    float64       // chunks that are not saved, those included that are not cut yet
	here    int           // mappers
	workers float64       // of a mapper, on average
	median  time.Duration // a chunk is in flight; 0: not known
	within  time.Duration // until the job is to end
	target  bool          // it is to end by a time at all
	rate    float64       // most chunks a second that may be handed out; 0: no limit
	useless bool          // more mappers do not help: nothing can be saved, or most of what they do fails
}

func (c *coordinator) need(now time.Time, counts ledger.Counts, s report.Status) need {
	here, waiting := c.workers()
	n := need{
		over: c.state == report.StateDone || c.state == report.StateFinishing || c.err != nil || c.paused,
		open: float64(counts.Ready + counts.InFlight), here: here, workers: 1,
		median: c.ledger.Median(), target: c.f.cfg.FinishWithin > 0, within: c.f.cfg.FinishWithin - now.Sub(c.f.started), useless: c.stuck() || c.outcomes.MostlyFailed(),
	}
	if c.rate > 0 && counts.Added > 0 {
		n.rate = c.rate * float64(counts.Added) / float64(max(1, c.objects))
	}
	n.left = float64(counts.Added - counts.Saved)
	if !c.cut && s.Progress > 0 && counts.Saved > 0 {
		n.left = max(n.left, float64(counts.Saved)/s.Progress-float64(counts.Saved))
	}
	if n.here > 0 {
		n.workers = max(1, float64(counts.InFlight+waiting)/float64(n.here))
	}
	return n
}

// mappers is how many the job could use, or needs (docs/metrics.md has the
// formula). It follows from what a chunk takes, not from the present rate: that
// lags behind every change of the number of mappers, and would be overshot.
func (n need) mappers() int {
	if n.over || n.left <= 0 {
		return 0
	}
	inTime := n.target && n.within > 0
	wanted := math.Ceil(n.open / n.workers)
	if n.useless || n.median <= 0 && (inTime || n.rate > 0) { // nobody knows what more would do
		wanted = min(wanted, float64(n.here))
	}
	if n.median > 0 && n.rate > 0 {
		wanted = min(wanted, math.Ceil(n.rate*n.median.Seconds()/n.workers))
	}
	if n.median > 0 && inTime {
		wanted = min(wanted, math.Ceil(n.left*n.median.Seconds()/n.within.Seconds()/n.workers))
	}
	return max(1, int(wanted))
}
