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
	awayGap       = time.Second             // a longer gap between ticks means that this process was paused
	renewInterval = 2 * time.Second         // between questions to the saver whether the epoch still holds
	easyInterval  = 500 * time.Millisecond  // the same while chunks are in flight and the saver is silent
	listenTime    = 1500 * time.Millisecond // time for the mappers of an earlier fetcher to list what they hold
	carefulAfter  = 2                       // see ledger.Config

	// windowChunks bounds how many chunks wait to go out for the first time. Half of the memory bounds them, too.
	windowChunks = 256
)

// held is the fetcher's data of a chunk that is not saved.
type held struct {
	chunk  *chunk.Chunk // nil: read it again by mark
	mark   source.Mark
	first  uint64
	count  int
	bytes  int
	digest chunk.Digest
	sent   int       // all objects below this index have gone out at least once
	ready  time.Time // when one of its pieces last became ready
	trace  trace.Context
}

// coordinator owns the fetcher's state. Only its goroutine touches it; handlers and loops post closures to it.
type coordinator struct {
	f      *Fetcher
	ledger *ledger.Ledger
	held   map[chunk.ID]*held // every added chunk that is not saved
	uncut  uncut

	waiting   waiting // requests that wait for work
	mappers   map[string]*mapper
	slots     int          // workers of all mappers that have made a request
	gone      []goneMapper // the latest last
	mapperLog mapperLog
	versions  map[string]*version
	terms     map[string]uint64 // of the versions, as the saver knows them; put into leases
	rollout   *rollout.Table
	shadow    shadowQueue

	ahead   int    // bytes of chunks that have not gone out completely
	kept    int    // bytes of all kept chunks, including those in flight
	largest int    // bytes of the largest chunk so far
	cut     bool   // the source has ended
	objects uint64 // objects cut so far
	bytes   uint64 // bytes of these objects

	ticked   time.Time // last tick
	online   bool
	listenTo time.Time        // no chunk goes out before this time, so that mappers can say what they hold
	noRoom   time.Time        // since when no more bytes may be on their way; zero: they may
	limit    limit            // RATE
	outcomes rollout.Outcomes // of the last chunks, for all versions

	calling  bool      // a call to the saver is in progress
	askAfter time.Time // no call to the saver before this time

	askUnconfirmed time.Time // when to ask about unconfirmed pieces; zero: there are none, or they were asked about
	renewed        time.Time // when the last question was asked whose answer confirmed the epoch
	epochDoubts    uint64    // number of events after which the epoch may no longer hold
	epochChecked   uint64    // how many of these events happened before the last question that the saver answered
	saverAway      bool
	saver          *app.Trouble // logs outages of the saver
	heard          time.Time    // when the saver last reported its load
	excused        time.Time    // when it was last impossible to save a chunk
	savers         *savers      // the sinks that have answered

	rivalSince time.Time // since when only a saver of another sink has answered
	failures   int       // failed merges
	failure    string    // why the last merge failed, or waits for its store
	givingUp   bool      // the job is hopeless, and ends once the saver has sent its dead letters

	state      report.JobState
	paused     bool
	rate       float64
	total      report.Summary   // content of the sink, by the saver's latest message
	load       report.SaverLoad // of the saver that has answered last
	duplicates duplicates
	meter      report.Meter
	history    report.Recorder
	err        error // why the job ended
}

func newCoordinator(f *Fetcher) *coordinator {
	now := time.Now()
	c := &coordinator{
		f: f, held: map[chunk.ID]*held{}, uncut: uncut{of: map[chunk.ID][]wire.SavedPiece{}}, mappers: map[string]*mapper{}, versions: map[string]*version{}, terms: map[string]uint64{}, ticked: now, online: true, renewed: now,
		state: report.StateRunning, rate: f.cfg.Rate, total: f.grant.before, duplicates: duplicates{of: map[string]uint64{}},
		rollout: rollout.New(rollout.Config{Shares: f.cfg.VersionShares, Shadow: f.cfg.Shadow, BreakAt: f.cfg.BreakAt, BreakFor: f.cfg.BreakFor}),
		saver:   app.NewTrouble(f.log, zerolog.WarnLevel, app.Patience, "no answer from the saver, still trying", "the saver answers again"),
		savers:  newSavers(f.log),
		ledger: ledger.New(ledger.Config{
			SuspectAfter: suspectAfter, GoneAfter: goneAfter, CarefulAfter: carefulAfter,
			MaxAttempts: f.cfg.MaxAttempts, Speculate: f.cfg.Speculate,
		}),
	}
	c.savers.hear(now, f.grant.sink)
	c.waiting.init()
	c.mapperLog.log = f.log
	maps.Copy(c.terms, f.grant.past.Terms)
	if f.grant.epoch > 1 { // mappers of an earlier fetcher may hold chunks: wait for their lists
		c.listenTo = now.Add(listenTime)
	}
	return c
}

// run handles events until the job is over or ctx ends.
func (c *coordinator) run(ctx context.Context) error {
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	defer func() { c.report(time.Now()) }()
	for c.err == nil {
		cuts := c.f.cuts
		if c.cut || c.ledger.Counts().Ready >= windowChunks || c.f.memory.isFull(c.ahead, c.kept) {
			cuts = nil // the window is full: pause reading until a chunk has gone out
		}
		timer.Reset(c.untilTick(time.Now()))
		select {
		case <-ctx.Done():
			if c.state != report.StateDone {
				return ErrUnfinished
			}
			return c.outcome()
		case event := <-c.f.events:
			event(c)
		case next, open := <-cuts:
			c.add(next, open)
		case <-timer.C:
		}
		if c.err == nil { // the result of a failed job must not be merged
			c.tick(time.Now())
		}
		if c.state == report.StateDone && c.f.cfg.OnDone == exit {
			return c.outcome()
		}
	}
	c.state = report.StateFailed
	if errors.Is(c.err, ErrCancelled) {
		c.state = report.StateCancelled
	}
	c.waiting.refuse(c)
	return c.err
}

// untilTick returns the time until the next timed action, at most tickInterval.
func (c *coordinator) untilTick(now time.Time) time.Duration {
	least := tickInterval
	for _, due := range []time.Time{c.askAfter, c.listenTo, c.limit.next, c.askUnconfirmed} {
		if wait := due.Sub(now); wait > 0 {
			least = min(least, wait)
		}
	}
	return least
}

// outcome returns the error of a job that is done: nil without dead letters.
func (c *coordinator) outcome() error {
	if c.total.Dead > 0 {
		return app.ErrDeadLetters
	}
	return nil
}

// tick does everything that is due after an event or at this time.
func (c *coordinator) tick(now time.Time) {
	c.f.pulse.Beat()
	c.expireMappers(now)
	if c.stuck() {
		c.excused = now
		c.ledger.Excuse(now)
	}
	c.callSaver(now)
	c.deadLetterFatal(now)
	c.waiting.expire(c, now) // before assign: after a pause of this process many mappers have stopped waiting
	c.assign(now)
	c.sendShadowCopies()
	if now.Sub(c.meter.Last()) >= tickInterval {
		c.report(now)
	}
	c.mapperLog.tick(now)
	c.ticked = now
}

// doubtful reports whether the epoch may no longer hold. Then the coordinator asks the saver.
func (c *coordinator) doubtful() bool { return c.epochChecked < c.epochDoubts }

// stuck reports whether no result can be saved at the moment.
func (c *coordinator) stuck() bool { return c.saverAway || c.load.Full != "" }

// hearLoad records the saver's load.
func (c *coordinator) hearLoad(now time.Time, load report.SaverLoad) {
	c.load, c.heard = load, now
	c.duplicates.hear(load)
}

// duplicates sums what the savers have dropped. Each saver counts its own, and several may answer in turn.
type duplicates struct {
	of    map[string]uint64 // by a saver's ID
	total uint64
}

// maxSavers bounds how many savers are told apart. Each restart of one is another.
const maxSavers = 1024

func (d *duplicates) hear(load report.SaverLoad) {
	before, known := d.of[load.ID]
	switch {
	case load.Duplicates <= before: // none, or a late, older message
	case !known && len(d.of) == maxSavers:
	default:
		d.of[load.ID] = load.Duplicates
		d.total += load.Duplicates - before
	}
}

// add adds a chunk from the source to the ledger. open is false at the end of the source.
func (c *coordinator) add(next cut, open bool) {
	if !open {
		c.cut = true
		return
	}
	c.objects += uint64(next.chunk.Count)
	c.bytes += uint64(len(next.chunk.Body))
	c.f.metrics.cut(next)
	confirmed := c.uncut.take(next.chunk.ID)
	if next.complete {
		c.ledger.AddSaved(next.chunk.Count)
		return
	}
	now := time.Now()
	c.ledger.AddPartly(now, next.chunk.Count, next.saved)
	c.held[next.chunk.ID] = &held{
		chunk: &next.chunk, mark: next.mark, first: next.chunk.First, count: next.chunk.Count, bytes: len(next.chunk.Body), digest: next.digest,
		ready: now, trace: next.trace,
	}
	c.ahead += len(next.chunk.Body)
	c.kept += len(next.chunk.Body)
	c.largest = max(c.largest, len(next.chunk.Body))
	failpoint.Hit("fetcher.chunk.added")
	for _, piece := range confirmed {
		c.saved(now, piece.Entry, piece.Mapper, piece.Dead)
	}
}

// bytesOf returns roughly how many bytes a piece of the chunk takes in a message, with the line that describes it.
func (h *held) bytesOf(p chunk.Piece) int {
	const line = 512
	return int(int64(h.bytes)*int64(p.Len())/int64(h.count)) + line // the product exceeds 32 bits
}

// goneOut records that a piece of a chunk goes out. The bytes of a chunk are kept until all of it has gone out once,
// and longer if the source cannot be read again.
func (c *coordinator) goneOut(h *held, p chunk.Piece) {
	if h.sent < h.count {
		if h.sent = max(h.sent, p.To); h.sent == h.count {
			c.ahead -= h.bytes
		}
	}
	if h.sent == h.count && c.f.source.Rereads() && h.chunk != nil {
		h.chunk = nil
		c.kept -= h.bytes
	}
}

// release forgets a saved chunk.
func (c *coordinator) release(id chunk.ID, h *held) {
	if h.sent < h.count {
		c.ahead -= h.bytes
	}
	if h.chunk != nil {
		c.kept -= h.bytes
	}
	delete(c.held, id)
}

// fail ends the job. Only the first error counts.
func (c *coordinator) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// obey carries out an operator's order.
func (c *coordinator) obey(order wire.Control) error {
	switch {
	case c.state == report.StateDone:
		return errors.New("job is done")
	case order.Action == wire.ControlPause:
		c.paused = true
	case order.Action == wire.ControlResume:
		c.paused, c.limit = false, limit{}
	case order.Action == wire.ControlCancel:
		c.fail(ErrCancelled)
	case order.Action == wire.ControlRate:
		if !app.IsRate(order.Rate) {
			return fmt.Errorf("rate %g: use 0 (no limit) or more objects a second", order.Rate)
		}
		c.rate, c.limit = order.Rate, limit{}
	case order.Action == wire.ControlShare:
		if order.Version == "" || !rollout.IsShare(order.Share) {
			return fmt.Errorf("share %g of version %q: name a version, and use 0 (none) to 1 (no limit)", order.Share, order.Version)
		}
		c.versionOf(time.Now(), order.Version).SetShare(order.Share)
	case order.Action == wire.ControlShadow:
		if !rollout.IsShare(order.Share) || order.Version == "" && order.Share > 0 {
			return fmt.Errorf("shadow share %g of version %q: name a version, and use 0 (end it) to 1 (every chunk)", order.Share, order.Version)
		}
		if run := c.rollout.Shadow.Version; run != "" && order.Version != "" && order.Version != run {
			return fmt.Errorf("version %q is in a shadow run, and would get regular chunks: end that run first, with a share of 0", run)
		}
		c.setShadow(rollout.Shadow{Version: order.Version, Share: order.Share})
	case order.Action == wire.ControlAllow:
		v := c.versions[order.Version]
		if v == nil || v.Breaker.Closed() {
			return fmt.Errorf("circuit breaker of version %q is closed already", order.Version)
		}
		v.Breaker.Reset()
	default:
		return fmt.Errorf("unknown action %q: use pause, resume, cancel, rate, share, allow or shadow", order.Action)
	}
	c.f.log.Info().Str("action", string(order.Action)).Float64("rate", order.Rate).Str("mapper_version", order.Version).Float64("share", order.Share).Msg("operator's order")
	return nil
}
