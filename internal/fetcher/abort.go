package fetcher

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// A job is stopped early when it cannot succeed: all of its first objects failed, its transform never answers
// (KEEP_GOING continues in both cases), or it has more dead letters than MAX_DEAD. A chunk of slow objects takes hours,
// so heartbeats report failed and unanswered objects while a chunk is being mapped.

const (
	// firstObjects is how many objects must be saved before a job can be stopped because all of them are dead letters.
	firstObjects = 100
	// oneByOne is how long a fetcher hands out one chunk at a time if an earlier fetcher has stopped the job. So a
	// fetcher that is restarted again and again makes dead letters of one chunk each time. The time is bounded, because
	// one mapper that hangs must not hold up the others.
	oneByOne = 30 * time.Second

	// leastMute is how many objects must stay unanswered, with no answer at all yet, before the fetcher concludes that
	// the transform never answers. One of them may be bad.
	leastMute = 3

	lastChunk = chunk.ID(1 << 62) // above all IDs
)

// allDead reports whether a sink holds at least firstObjects objects, and only dead letters.
func allDead(total report.Summary) bool {
	return total.Objects >= firstObjects && total.Dead == total.Objects
}

// hopeless reports whether to stop the job: the sink holds only dead letters, this fetcher has added some of them, and
// every mapper version that serves has been tried.
func (c *coordinator) hopeless() bool {
	if c.f.cfg.KeepGoing || !allDead(c.total) || c.total.Objects == c.f.grant.before.Objects {
		return false
	}
	for _, m := range c.mappers {
		if v := m.of; m.refused == "" && m.Transform != "" && c.rollout.Serves(v.Version) && v.saved+v.vanished == 0 {
			return false // this version may do better
		}
	}
	return true
}

// holdsBackUntried reports whether the chunk in flight must be saved before another one goes out, because all results
// under earlier fetchers are dead letters.
func (c *coordinator) holdsBackUntried(now time.Time) bool {
	return !c.f.cfg.KeepGoing && allDead(c.f.grant.before) && allDead(c.total) &&
		now.Sub(c.f.started) < oneByOne && c.ledger.Counts().InFlight > 0
}

// hearObjects handles the report of a heartbeat about the objects being mapped.
func (c *coordinator) hearObjects(b wire.Beat) {
	m := c.mappers[b.Mapper.ID]
	m.mute, m.notice = b.Unanswered, b.Notice
	if c.err != nil || c.state != report.StateRunning || c.isShadow(m) {
		return
	}
	if f, limit := b.Failed, c.f.cfg.MaxDead; f != nil && limit >= 0 && int64(f.Objects) > limit && b.Plan == c.f.planID &&
		slices.ContainsFunc(c.ledger.Held(m.ID), func(p chunk.Piece) bool { return p.Chunk == f.Chunk && f.Objects <= p.Len() }) {
		c.tooManyDead("%d in chunk %d alone, the last one with: %s", f.Objects, f.Chunk, b.FailedReason)
	}
	if objects := c.unanswered(); objects >= leastMute {
		c.fail(fmt.Errorf("%w: %d objects; %s; fix it, give it more time, or continue anyway: %w",
			ErrMute, objects, m.notice, app.Setting("KEEP_GOING", "=true")))
	}
}

// unanswered counts the objects without an answer in time. It returns 0 if an object of the job was ever mapped, or if
// a serving mapper may still do better.
func (c *coordinator) unanswered() (objects int) {
	if c.f.cfg.KeepGoing || c.total.Dead < c.total.Objects {
		return 0
	}
	mute := map[*version]bool{}
	for _, m := range c.mappers {
		if m.mute > 0 {
			mute[m.of] = true
			objects += m.mute
		}
	}
	if objects == 0 {
		return 0
	}
	for _, m := range c.mappers {
		switch {
		case m.mute > 0, m.refused != "", m.Transform == "", !c.rollout.Serves(m.of.Version):
		case !mute[m.of], c.ledger.Holds(m.ID) > 0:
			return 0 // its version is not mute, or it holds a chunk and may still answer
		}
	}
	return objects
}

// tooManyDead ends the job because of MAX_DEAD. The format describes how many dead letters there are.
func (c *coordinator) tooManyDead(format string, args ...any) {
	c.fail(app.Setting("MAX_DEAD", "=%d: %w: %s; fix the transform, or raise the limit", c.f.cfg.MaxDead, ErrTooManyDead, fmt.Sprintf(format, args...)))
}

// giveUp ends a hopeless job.
func (c *coordinator) giveUp(page *report.DeadPage) {
	why := "the live page and chunkline dead list say why"
	if page != nil && len(page.Letters) > 0 {
		text, count := commonest(page.Letters)
		why = fmt.Sprintf("%d of the last %d with an error such as: %s", count, len(page.Letters), text)
	}
	c.fail(fmt.Errorf("%w: %d objects; %s; fix the transform, or continue anyway: %w",
		ErrHopeless, c.total.Dead, why, app.Setting("KEEP_GOING", "=true")))
}

// commonest returns the most frequent error of the letters, and how many have it. Errors that differ only in numbers,
// such as line numbers, count as one.
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
