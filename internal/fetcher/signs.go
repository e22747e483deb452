package fetcher

import (
	"fmt"
	"slices"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// Beats say how the objects in work go. A chunk of slow objects takes hours, and a job
// that will fail with it is stopped before.

// hearSigns takes what the latest beat of a mapper says about its objects.
func (d *desk) hearSigns(b wire.Beat) {
	m := d.mappers[b.Mapper.ID]
	m.mute, m.notice = b.Unanswered, b.Notice
	if d.err != nil || d.state != report.StateRunning || d.shadows(m) {
		return
	}
	if f, limit := b.Failed, d.f.cfg.MaxDead; f != nil && limit >= 0 && int64(f.Objects) > limit && b.Plan == d.f.planID &&
		slices.Contains(d.ledger.Held(m.ID), f.Chunk) && f.Objects <= d.held[f.Chunk].count {
		d.tooManyDead("%d in chunk %d alone, the last one with: %s", f.Objects, f.Chunk, b.FailedReason)
	}
	if objects := d.unanswered(); objects >= leastMute {
		d.fail(fmt.Errorf("%w: %d objects; %s; mend it, give it more time, or go on all the same: %w",
			ErrMute, objects, m.notice, app.Setting("KEEP_GOING", "=true")))
	}
}

// unanswered is how many objects had no answer in time, if no object of the job has had
// one, and no mapper that may have chunks may do better.
func (d *desk) unanswered() (objects int) {
	if d.f.cfg.KeepGoing || d.total.Dead < d.total.Objects {
		return 0
	}
	mute := map[*version]bool{}
	for _, m := range d.mappers {
		if m.mute > 0 {
			mute[m.of] = true
			objects += m.mute
		}
	}
	if objects == 0 {
		return 0
	}
	for _, m := range d.mappers {
		switch {
		case m.mute > 0, m.refused != "", m.Transform == "", d.shadows(m), m.of.share == 0, !m.of.until.IsZero():
		case !mute[m.of], d.ledger.Holds(m.ID) > 0:
			return 0 // nothing is known of it yet, or it has answered
		}
	}
	return objects
}

// tooManyDead ends the job for its dead letters; the format says how many there are.
func (d *desk) tooManyDead(format string, args ...any) {
	d.fail(app.Setting("MAX_DEAD", "=%d: %w: %s; mend the transform, or raise the limit", d.f.cfg.MaxDead, ErrTooManyDead, fmt.Sprintf(format, args...)))
}
