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
	open    float64       // pieces that mappers can work on now
	left    float64       // unsaved pieces, including those not cut yet
	here    int           // mappers
	workers float64       // per mapper, on average
	median  time.Duration // time that a piece is in flight; 0: not known
	within  time.Duration // time left of FINISH_WITHIN
	target  bool          // whether FINISH_WITHIN is set
	rate    float64       // most pieces a second that may be handed out; 0: no limit
	useless bool          // more mappers would not help: nothing can be saved, or most objects fail
}

func (c *coordinator) need(now time.Time, counts ledger.Counts, s report.Status) need {
	here, _ := c.workers()
	each := c.pieceObjects()
	n := need{
		over: c.state == report.StateDone || c.state == report.StateFinishing || c.err != nil || c.paused,
		here: here, workers: 1, median: time.Duration(each * float64(c.ledger.ObjectTime())),
		target: c.f.cfg.FinishWithin > 0, within: c.f.cfg.FinishWithin - now.Sub(c.f.started), useless: c.stuck() || c.outcomes.MostlyFailed(),
		rate: c.rate / each,
	}
	remaining := float64(c.ledger.Remaining())
	n.open, n.left = math.Ceil(remaining/each), math.Ceil(remaining/each)
	if saved := float64(counts.SavedObjects); !c.cut && s.Progress > 0 && saved > 0 {
		n.left = max(n.left, (saved/s.Progress-saved)/each)
	}
	if n.here > 0 && c.slots > 0 {
		n.workers = max(1, float64(c.slots)/float64(len(c.mappers)))
	}
	return n
}

// pieceObjects returns the mean number of objects of a piece: a full chunk, or fewer if they take long.
func (c *coordinator) pieceObjects() float64 {
	each := float64(c.objects) / float64(max(1, c.ledger.Counts().Added))
	if took := c.ledger.ObjectTime(); took > 0 {
		each = min(each, float64(objectsIn(pieceWork, took)))
	}
	return max(1, each)
}

// mappers returns how many mappers the job could use, or needs to end in time (docs/metrics.md has the formula). It
// depends on the time that a chunk takes, not on the current rate. The rate lags behind each change of the number of
// mappers, so an autoscaler would overshoot.
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
