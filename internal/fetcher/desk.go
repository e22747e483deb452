package fetcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	turnInterval  = 250 * time.Millisecond // the desk turns at least this often
	awayGap       = time.Second            // a longer gap between turns means that this process was stopped
	renewInterval = 2 * time.Second        // between questions to the saver whether the epoch still holds
	easyInterval  = 500 * time.Millisecond // the same, while chunks are out and the saver is silent
	listenTime    = 1500 * time.Millisecond
	suspectAfter  = 2 * time.Second
	goneAfter     = 3 * time.Second
	carefulAfter  = 2

	// windowChunks bounds what waits to go out for the first time, and so does
	// a half of the memory.
	windowChunks = 256
)

// held is what the fetcher keeps of a chunk that is not saved.
type held struct {
	chunk  *chunk.Chunk // nil: read it again by mark
	mark   source.Mark
	first  uint64
	count  int
	bytes  int
	digest chunk.Digest
	sent   bool
	ready  time.Time // since when it could be handed out, or could again
	trace  trace.Context
}

// desk is the fetcher's state. Only its own goroutine touches it: handlers and
// loops post closures.
type desk struct {
	f      *Fetcher
	ledger *ledger.Ledger
	held   map[chunk.ID]*held // every chunk that is added and not saved

	waiting  waiting // requests that wait for a chunk
	mappers  map[string]*mapper
	gone     []goneMapper // the latest last
	crowd    crowd
	versions map[string]*version
	terms    map[string]uint64 // that the saver knows of; leases are of these
	shadow   shadow

	ahead   int  // bytes that have not gone out yet
	kept    int  // bytes of all chunks that are kept, also of those that are out
	largest int  // bytes of a chunk so far
	cut     bool // the source is at its end
	objects uint64

	turned   time.Time // last turn
	online   bool
	listenTo time.Time // no hand-out before: mappers first say what they hold
	limit    limit     // RATE
	outcomes outcomes  // of the last chunks

	busy      bool      // an errand is under way
	askAfter  time.Time // no question to the saver before
	renewed   time.Time // the epoch held when the question asked then was answered
	doubts    uint64    // times at which the epoch was found not to be certain
	settled   uint64    // as many of them as the saver's last answer has settled
	saverAway bool
	saver     *app.Trouble // says so
	heard     time.Time    // when it last told its load
	excused   time.Time    // until then no chunk could be saved
	savers    *savers      // whose answers were heard

	rivalSince time.Time // a saver of another sink alone has answered since
	failures   int       // times the result could not be laid out
	doomed     bool      // no object is mapped as it should be: the job ends as soon as it is known why

	state   report.JobState
	paused  bool
	rate    float64
	total   report.Summary // what the sink holds, as last told
	load    report.SaverLoad
	meter   report.Meter
	history report.Recorder
	err     error // why the job ended
}

func newDesk(f *Fetcher) *desk {
	now := time.Now()
	d := &desk{
		f: f, held: map[chunk.ID]*held{}, mappers: map[string]*mapper{}, versions: map[string]*version{}, terms: map[string]uint64{}, turned: now, online: true, renewed: now,
		state: report.StateRunning, rate: f.cfg.Rate, total: f.grant.before, shadow: shadow{ShadowRun: f.cfg.Shadow},
		saver:  app.NewTrouble(f.log, zerolog.WarnLevel, app.Patience, "no answer from the saver, trying on", "the saver answers again"),
		savers: newSavers(f.log),
		ledger: ledger.New(ledger.Config{
			SuspectAfter: suspectAfter, GoneAfter: goneAfter, CarefulAfter: carefulAfter,
			MaxAttempts: f.cfg.MaxAttempts, Speculate: f.cfg.Speculate,
		}),
	}
	d.savers.hear(now, f.grant.sink)
	d.waiting.init()
	d.crowd.log = f.log
	maps.Copy(d.terms, f.grant.past.Terms)
	if f.grant.epoch > 1 { // an earlier fetcher's mappers may be at work: hear them first
		d.listenTo = now.Add(listenTime)
	}
	return d
}

// run turns the desk until the job is over or ctx ends.
func (d *desk) run(ctx context.Context) error {
	timer := time.NewTimer(turnInterval)
	defer timer.Stop()
	defer func() { d.report(time.Now()) }()
	for d.err == nil {
		cuts := d.f.cuts
		if d.cut || d.ledger.Counts().Ready >= windowChunks || d.f.memory.fills(d.ahead, d.kept) {
			cuts = nil // the window is full: stop reading until something has gone out
		}
		timer.Reset(turnInterval)
		select {
		case <-ctx.Done():
			return d.stopped()
		case event := <-d.f.events:
			event(d)
		case c, open := <-cuts:
			d.add(c, open)
		case <-timer.C:
		}
		if d.err == nil { // else nothing is due any more, least of all the layout of a job that has failed
			d.turn(time.Now())
		}
		if d.state == report.StateDone && d.f.cfg.OnDone == exit {
			return d.outcome()
		}
	}
	d.state = report.StateFailed
	if errors.Is(d.err, ErrCancelled) {
		d.state = report.StateCancelled
	}
	d.waiting.refuse(d)
	return d.err
}

// stopped is how the job ended when the process was told to stop.
func (d *desk) stopped() error {
	if d.state == report.StateDone {
		return d.outcome()
	}
	return ErrUnfinished
}

// outcome is how a done job ended.
func (d *desk) outcome() error {
	if d.total.Dead > 0 {
		return app.ErrDeadLetters
	}
	return nil
}

// turn does what time and the last event made due.
func (d *desk) turn(now time.Time) {
	d.f.pulse.Beat()
	d.judge(now)
	if d.stuck() {
		d.excused = now
		d.ledger.Excuse(now)
	}
	d.consult(now)
	d.bury()
	d.waiting.expire(d, now) // before handing out: after a pause of ours many have waited long enough
	d.handOut(now)
	d.handOutShadows()
	if now.Sub(d.meter.Last()) >= turnInterval {
		d.report(now)
	}
	d.crowd.turn(now)
	d.turned = now
}

// doubtful says whether the saver is to be asked if the epoch still holds.
func (d *desk) doubtful() bool { return d.settled < d.doubts }

// stuck says whether no result can be saved, whatever mappers do.
func (d *desk) stuck() bool { return d.saverAway || d.load.Full != "" }

// toldLoad takes the saver's word on how busy it is.
func (d *desk) toldLoad(now time.Time, load report.SaverLoad) { d.load, d.heard = load, now }

// judge finds mappers that have fallen silent. It judges none while it could
// not have heard them: offline, or after this process itself was stopped.
func (d *desk) judge(now time.Time) {
	online := d.f.bus.Online()
	if now.Sub(d.turned) > awayGap || online && !d.online {
		d.ledger.Forgive(now)
		d.doubts++ // meanwhile another fetcher may have taken over
	}
	d.online = online
	if !online {
		return
	}
	suspects, vanished := d.ledger.Expire(now)
	for _, id := range suspects {
		d.order(order{mapper: id, kind: wire.OrderPing})
	}
	for _, id := range vanished {
		d.forget(id, "fell silent")
	}
}

// vanish takes back what a mapper held that is not there any more.
func (d *desk) vanish(id string) {
	if m := d.mappers[id]; m != nil {
		m.held = d.ledger.Holds(id)
	}
	d.ledger.Vanish(id)
	d.forget(id, "has no connection any more")
}

func (d *desk) forget(id, why string) {
	if m, known := d.mappers[id]; known {
		d.crowd.goes(time.Now(), m, why)
		d.lost(time.Now(), m)
		d.farewell(time.Now(), m, why)
	}
	d.waiting.drop(id, nil)
	failpoint.Hit("fetcher.mapper.lost")
}

// add takes a chunk from the source on the books.
func (d *desk) add(c cut, open bool) {
	if !open {
		d.cut = true
		return
	}
	d.objects += uint64(c.chunk.Count)
	d.f.metrics.cut(c)
	if c.saved {
		d.ledger.AddSaved()
		return
	}
	now := time.Now()
	d.ledger.Add(now)
	d.held[c.chunk.ID] = &held{
		chunk: &c.chunk, mark: c.mark, first: c.chunk.First, count: c.chunk.Count, bytes: len(c.chunk.Body), digest: c.digest,
		ready: now, trace: c.trace,
	}
	d.ahead += len(c.chunk.Body)
	d.kept += len(c.chunk.Body)
	d.largest = max(d.largest, len(c.chunk.Body))
	failpoint.Hit("fetcher.chunk.added")
}

// fail ends the job; the first reason counts.
func (d *desk) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// obey carries out an operator's order.
func (d *desk) obey(c wire.Control) error {
	switch {
	case d.state == report.StateDone:
		return errors.New("job is done")
	case c.Action == wire.ControlPause:
		d.paused = true
	case c.Action == wire.ControlResume:
		d.paused, d.limit = false, limit{}
	case c.Action == wire.ControlCancel:
		d.fail(ErrCancelled)
	case c.Action == wire.ControlRate:
		if !(c.Rate >= 0) {
			return fmt.Errorf("rate %g: use 0 (no limit) or more objects a second", c.Rate)
		}
		d.rate, d.limit = c.Rate, limit{}
	case c.Action == wire.ControlShare:
		if c.Version == "" || !isShare(c.Share) {
			return fmt.Errorf("share %g of version %q: name a version, and use 0 (none) to 1 (no limit)", c.Share, c.Version)
		}
		v := d.versionOf(time.Now(), c.Version)
		v.share, v.credit = c.Share, min(1, 2*c.Share)
	case c.Action == wire.ControlShadow:
		if !isShare(c.Share) || c.Version == "" && c.Share > 0 {
			return fmt.Errorf("shadow share %g of version %q: name a version, and use 0 (end it) to 1 (every chunk)", c.Share, c.Version)
		}
		if run := d.shadow.Version; run != "" && c.Version != "" && c.Version != run {
			return fmt.Errorf("version %q shadows, and would get chunks to be saved without that: end it first, with a share of 0", run)
		}
		d.setShadow(ShadowRun{Version: c.Version, Share: c.Share})
	case c.Action == wire.ControlAllow:
		v := d.versions[c.Version]
		if v == nil || v.until.IsZero() {
			return fmt.Errorf("version %q is not cut off", c.Version)
		}
		v.until, v.rests, v.recent = time.Time{}, 0, nil
	default:
		return fmt.Errorf("unknown action %q: use pause, resume, cancel, rate, share, allow or shadow", c.Action)
	}
	d.f.log.Info().Str("action", string(c.Action)).Float64("rate", c.Rate).Str("mapper_version", c.Version).Float64("share", c.Share).Msg("operator's order")
	return nil
}
