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
	"github.com/chunkline/chunkline/internal/rollout"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	tickInterval  = 250 * time.Millisecond  // tick runs at least this often
	awayGap       = time.Second             // a longer gap between ticks means that this process was stopped
	renewInterval = 2 * time.Second         // between questions to the saver whether the epoch still holds
	easyInterval  = 500 * time.Millisecond  // the same, while chunks are in flight and the saver is silent
	listenTime    = 1500 * time.Millisecond // in which the mappers of an earlier fetcher say what they hold
	carefulAfter  = 2                       // see ledger.Config

	// windowChunks bounds how many chunks wait to go out for the first time; so does
	// half of the memory.
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
	ready  time.Time // when it became ready, the last time
	trace  trace.Context
}

// coordinator owns the fetcher's state. Only its goroutine touches it; handlers and
// loops post closures to it.
type coordinator struct {
	f      *Fetcher
	ledger *ledger.Ledger
	held   map[chunk.ID]*held // every chunk that was added and is not saved

	waiting   waiting // requests that wait for a chunk
	mappers   map[string]*mapper
	gone      []goneMapper // the latest last
	mapperLog mapperLog
	versions  map[string]*version
	terms     map[string]uint64 // of the versions, as the saver knows them; leases have these
	rollout   *rollout.Table
	shadow    shadowQueue

	ahead   int  // bytes of chunks that have not gone out yet
	kept    int  // bytes of all chunks that are kept, those in flight included
	largest int  // bytes of the largest chunk so far
	cut     bool // the source is at its end
	objects uint64

	ticked   time.Time // last tick
	online   bool
	listenTo time.Time        // no chunk goes out before: mappers first say what they hold
	limit    limit            // RATE
	outcomes rollout.Outcomes // of the last chunks, whatever the version

	calling      bool      // a call to the saver is under way
	askAfter     time.Time // no call to the saver before
	renewed      time.Time // the epoch held when the question asked then was answered
	epochDoubts  uint64    // events after which the epoch may not hold any more
	epochChecked uint64    // how many of them came before the question that the saver answered last
	saverAway    bool
	saver        *app.Trouble // logs it
	heard        time.Time    // when the saver last told its load
	excused      time.Time    // no chunk could be saved until then
	savers       *savers      // the sinks that have answered

	rivalSince time.Time // since when only a saver of another sink has answered
	failures   int       // failed merges
	givingUp   bool      // the job is hopeless, and ends as soon as the saver has said why

	state   report.JobState
	paused  bool
	rate    float64
	total   report.Summary // what the sink holds, as last told
	load    report.SaverLoad
	meter   report.Meter
	history report.Recorder
	err     error // why the job ended
}

func newCoordinator(f *Fetcher) *coordinator {
	now := time.Now()
	d := &coordinator{
		f: f, held: map[chunk.ID]*held{}, mappers: map[string]*mapper{}, versions: map[string]*version{}, terms: map[string]uint64{}, ticked: now, online: true, renewed: now,
		state: report.StateRunning, rate: f.cfg.Rate, total: f.grant.before,
		rollout: rollout.New(rollout.Config{Shares: f.cfg.VersionShares, Shadow: f.cfg.Shadow, BreakAt: f.cfg.BreakAt, BreakFor: f.cfg.BreakFor}),
		saver:   app.NewTrouble(f.log, zerolog.WarnLevel, app.Patience, "no answer from the saver, trying on", "the saver answers again"),
		savers:  newSavers(f.log),
		ledger: ledger.New(ledger.Config{
			SuspectAfter: suspectAfter, GoneAfter: goneAfter, CarefulAfter: carefulAfter,
			MaxAttempts: f.cfg.MaxAttempts, Speculate: f.cfg.Speculate,
		}),
	}
	d.savers.hear(now, f.grant.sink)
	d.waiting.init()
	d.mapperLog.log = f.log
	maps.Copy(d.terms, f.grant.past.Terms)
	if f.grant.epoch > 1 { // mappers of an earlier fetcher may hold chunks: hear them first
		d.listenTo = now.Add(listenTime)
	}
	return d
}

// run handles events until the job is over or ctx ends.
func (d *coordinator) run(ctx context.Context) error {
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	defer func() { d.report(time.Now()) }()
	for d.err == nil {
		cuts := d.f.cuts
		if d.cut || d.ledger.Counts().Ready >= windowChunks || d.f.memory.isFull(d.ahead, d.kept) {
			cuts = nil // the window is full: stop reading until a chunk has gone out
		}
		timer.Reset(tickInterval)
		select {
		case <-ctx.Done():
			return d.stopped()
		case event := <-d.f.events:
			event(d)
		case c, open := <-cuts:
			d.add(c, open)
		case <-timer.C:
		}
		if d.err == nil { // else nothing is due any more: the result of a failed job must not be merged
			d.tick(time.Now())
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

// stopped is the error of a run whose process was told to stop.
func (d *coordinator) stopped() error {
	if d.state == report.StateDone {
		return d.outcome()
	}
	return ErrUnfinished
}

// outcome is the error that a done job ends with.
func (d *coordinator) outcome() error {
	if d.total.Dead > 0 {
		return app.ErrDeadLetters
	}
	return nil
}

// tick does what the time and the last event have made due.
func (d *coordinator) tick(now time.Time) {
	d.f.pulse.Beat()
	d.expireMappers(now)
	if d.stuck() {
		d.excused = now
		d.ledger.Excuse(now)
	}
	d.callSaver(now)
	d.deadLetterFatal()
	d.waiting.expire(d, now) // before assign: after a pause of this process many mappers have stopped waiting
	d.assign(now)
	d.sendShadowCopies()
	if now.Sub(d.meter.Last()) >= tickInterval {
		d.report(now)
	}
	d.mapperLog.tick(now)
	d.ticked = now
}

// doubtful says whether the epoch may not hold any more. The saver is asked then.
func (d *coordinator) doubtful() bool { return d.epochChecked < d.epochDoubts }

// stuck says whether no result can be saved at the moment.
func (d *coordinator) stuck() bool { return d.saverAway || d.load.Full != "" }

// hearLoad takes the saver's load.
func (d *coordinator) hearLoad(now time.Time, load report.SaverLoad) { d.load, d.heard = load, now }

// add makes a chunk from the source known.
func (d *coordinator) add(c cut, open bool) {
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

// fail ends the job. The first error counts.
func (d *coordinator) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// obey carries out an operator's order.
func (d *coordinator) obey(c wire.Control) error {
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
		if c.Version == "" || !rollout.IsShare(c.Share) {
			return fmt.Errorf("share %g of version %q: name a version, and use 0 (none) to 1 (no limit)", c.Share, c.Version)
		}
		d.versionOf(time.Now(), c.Version).SetShare(c.Share)
	case c.Action == wire.ControlShadow:
		if !rollout.IsShare(c.Share) || c.Version == "" && c.Share > 0 {
			return fmt.Errorf("shadow share %g of version %q: name a version, and use 0 (end it) to 1 (every chunk)", c.Share, c.Version)
		}
		if run := d.rollout.Shadow.Version; run != "" && c.Version != "" && c.Version != run {
			return fmt.Errorf("version %q shadows, and would get chunks to be saved without that: end it first, with a share of 0", run)
		}
		d.setShadow(rollout.Shadow{Version: c.Version, Share: c.Share})
	case c.Action == wire.ControlAllow:
		v := d.versions[c.Version]
		if v == nil || v.Breaker.Closed() {
			return fmt.Errorf("circuit breaker of version %q is closed already", c.Version)
		}
		v.Breaker.Reset()
	default:
		return fmt.Errorf("unknown action %q: use pause, resume, cancel, rate, share, allow or shadow", c.Action)
	}
	d.f.log.Info().Str("action", string(c.Action)).Float64("rate", c.Rate).Str("mapper_version", c.Version).Float64("share", c.Share).Msg("operator's order")
	return nil
}
