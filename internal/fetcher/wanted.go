package fetcher

import (
	"math"
	"time"

	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
)

// need is the input for the number of mappers that the job wants.
type need struct {
	over    bool          // the job has ended, or is paused
	open    float64       // chunks that mappers can work on now
	left    float64       // chunks that are not saved yet, those included that are not cut yet
	here    int           // mappers
	workers float64       // per mapper, on average
	median  time.Duration // time that a chunk is in flight; 0: not known
	within  time.Duration // time left of FINISH_WITHIN
	target  bool          // FINISH_WITHIN is set
	rate    float64       // most chunks a second that may be handed out; 0: no limit
	useless bool          // more mappers would not help: nothing can be saved, or most objects fail
}

func (c *coordinator) need(now time.Time, counts ledger.Counts, s report.Status) need {
	here, waiting := c.workers()
	n := need{
		over: c.state == report.StateDone || c.state == report.StateFinishing || c.err != nil || c.paused,
		open: float64(counts.Ready + counts.InFlight), here: here, workers: 1,
		median: c.chunkTime(), target: c.f.cfg.FinishWithin > 0, within: c.f.cfg.FinishWithin - now.Sub(c.f.started), useless: c.stuck() || c.outcomes.MostlyFailed(),
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

// mappers returns how many mappers the job could use, or needs to end in time (docs/metrics.md has the
// formula). It depends on the time that a chunk takes, not on the current rate. The rate
// lags behind each change of the number of mappers, so an autoscaler would overshoot.
func (n need) mappers() int {
	if n.over || n.left <= 0 {
		return 0
	}
	inTime := n.target && n.within > 0
	wanted := math.Ceil(n.open / n.workers)
	if n.useless || n.median <= 0 && (inTime || n.rate > 0) { // the effect of more mappers is unknown
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
