package fetcher

import (
	"fmt"
	"regexp"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// A job all of whose first objects fail has a transform that does not work, most
// likely: what is left of the data set would be dead letters, too. So it is stopped,
// unless KEEP_GOING says otherwise.

const (
	// firstObjects is how many objects must be saved before a job is called hopeless.
	firstObjects = 100
	// oneByOne is how long a job that was hopeless when an earlier fetcher ended gets one
	// chunk at a time, so that a fetcher that is started again and again costs a chunk
	// each time. It is bounded: a mapper that hangs must not hold up the others.
	oneByOne = 30 * time.Second

	// leastMute is how many objects must go without an answer, before there is any, until
	// a transform is taken for one that never answers: one of them may be a bad object.
	leastMute = 3

	lastChunk = chunk.ID(1 << 62) // above all IDs
)

// allDead says whether everything that a sink holds is dead letters, and enough of it.
func allDead(total report.Summary) bool {
	return total.Objects >= firstObjects && total.Dead == total.Objects
}

// hopeless says whether to stop the job: all that the sink holds are dead letters, this
// fetcher has added some, and no other version of mappers may do better.
func (d *desk) hopeless() bool {
	if d.f.cfg.KeepGoing || !allDead(d.total) || d.total.Objects == d.f.grant.before.Objects {
		return false
	}
	for _, m := range d.mappers {
		if v := m.of; m.refused == "" && m.Transform != "" && !d.shadows(m) && v.share > 0 && v.until.IsZero() && v.saved+v.vanished == 0 {
			return false // nothing is known of it
		}
	}
	return true
}

// holdsBackUntried says whether a chunk must be saved before there is another one, because
// all that an earlier fetcher had mapped are dead letters.
func (d *desk) holdsBackUntried(now time.Time) bool {
	return !d.f.cfg.KeepGoing && allDead(d.f.grant.before) && allDead(d.total) &&
		now.Sub(d.f.started) < oneByOne && d.ledger.Counts().InFlight > 0
}

// deadQuery asks the saver for the newest dead letters, to find the commonest error.
func (d *desk) deadQuery() wire.Sync {
	return wire.Sync{
		Op: wire.SyncDead, Plan: d.f.planID, Fetcher: d.f.bus.ID(), Epoch: d.f.grant.epoch, From: lastChunk, Limit: firstObjects,
	}
}

// giveUp ends a hopeless job.
func (d *desk) giveUp(page *report.DeadPage) {
	why := "the live page and chunkline dead list say why"
	if page != nil && len(page.Letters) > 0 {
		text, count := commonest(page.Letters)
		why = fmt.Sprintf("%d of the last %d with an error such as: %s", count, len(page.Letters), text)
	}
	d.fail(fmt.Errorf("%w: %d objects; %s; mend the transform, or go on all the same: %w",
		ErrHopeless, d.total.Dead, why, app.Setting("KEEP_GOING", "=true")))
}

// commonest is the error that most letters have, the first of several, and how many have it.
// Errors that differ in numbers only, as of lines, are one.
func commonest(letters []report.DeadLetter) (text string, count int) {
	counts := map[string]int{}
	for _, l := range letters {
		counts[numbers.ReplaceAllString(l.Error, "0")]++
	}
	for _, l := range letters {
		if n := counts[numbers.ReplaceAllString(l.Error, "0")]; n > count {
			text, count = l.Error, n
		}
	}
	return text, count
}

var numbers = regexp.MustCompile(`[0-9]+`)
