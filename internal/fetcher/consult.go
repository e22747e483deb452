package fetcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	finishPause = 100 * time.Millisecond // between questions whether the result is laid out
	finishRetry = time.Second            // before a layout that failed is asked for again
	finishTries = 3                      // failures of it that end the job
	maxPings    = 32                     // direct questions to mappers at a time
)

// errand hands the clerk something to do; its result comes back to the desk.
// One errand at a time.
func (d *desk) errand(do func(context.Context) func(*desk)) {
	d.busy = true
	f := d.f
	f.errands <- func(ctx context.Context) {
		result := do(ctx)
		f.post(ctx, func(d *desk) { d.busy = false; result(d) })
	}
}

// consult tells the saver which version is cut off, and asks it what is due: whether chunks that
// were lost are there already, whether our epoch still holds, and in the end to lay out the result.
func (d *desk) consult(now time.Time) {
	if d.busy || now.Before(d.askAfter) {
		return
	}
	q := wire.Sync{Op: wire.SyncList, Plan: d.f.planID, Fetcher: d.f.bus.ID(), Epoch: d.f.grant.epoch}
	doubts, cutOff := d.ledger.Doubts(), d.untold()
	switch {
	case d.doomed:
		q = d.deadQuery()
	case d.state != report.StateDone && d.cut && d.ledger.Done():
		d.state = report.StateFinishing
		q.Op, q.Total = wire.SyncFinish, wire.Totals{Chunks: uint64(d.ledger.Counts().Added), Objects: d.objects}
		failpoint.Hit("fetcher.finish.asking")
	case cutOff != nil:
		q.Op, q.Version, q.Term = wire.SyncCutOff, cutOff.name, d.terms[cutOff.name]+1
	case len(doubts) > 0:
		q.Chunks = doubts[:min(len(doubts), wire.MaxSaved)]
	case now.Sub(d.renewed) < renewInterval && !d.doubtful() && !d.uneasy(now) && !d.savers.rivals(now):
		return
	default:
		q.Limit = 1 // whatever it is: the question is whether the epoch holds
	}
	certain := d.doubts // what comes from here on is asked about anew
	d.errand(func(ctx context.Context) func(*desk) {
		answer, err := d.f.ask(ctx, q)
		return func(d *desk) { d.answered(now, certain, q, answer, err) }
	})
}

// uneasy says whether chunks are out and nothing was heard of the saver for a
// while: before a chunk is taken for a straggler, the saver is asked whether it
// can save at all.
func (d *desk) uneasy(now time.Time) bool {
	return d.ledger.Counts().InFlight > 0 && now.Sub(d.heard) >= easyInterval && now.Sub(d.renewed) >= easyInterval
}

// answered takes the saver's answer to q.
func (d *desk) answered(asked time.Time, certain uint64, q wire.Sync, a wire.SyncAnswer, err error) {
	now := time.Now()
	if err == nil && d.f.isRival(a.Sink) {
		d.meet(now, a.Sink, a.Plan == "")
		d.saverAway = false
		d.askAfter = now.Add(askPause)
		return
	}
	if err == nil && q.Op == wire.SyncDead && (a.Status == wire.SyncOK || a.Status == wire.SyncFailed) {
		d.giveUp(a.Dead)
		return
	}
	if err == nil && a.Status == wire.SyncFailed && q.Op != wire.SyncFinish {
		err = errors.New(a.Reason)
	}
	d.saverAway = err != nil
	d.saver.Note(err)
	if err != nil {
		d.askAfter = now.Add(askPause)
		return
	}
	d.renewed, d.settled = asked, certain
	d.savers.hear(now, d.f.grant.sink)
	if d.savers.rivals(now) {
		d.askAfter = now.Add(askPause)
	}
	switch {
	case a.Status == wire.SyncWorking:
		d.toldLoad(now, a.Load)
		d.askAfter = now.Add(finishPause)
	case a.Status == wire.SyncFailed:
		d.unfinished(now, a.Reason)
	case a.Status != wire.SyncOK:
		d.fail(refusal(a))
	case q.Op == wire.SyncFinish:
		d.finished(a.Summary)
	case q.Op == wire.SyncCutOff:
		d.told(q.Version, q.Term)
	default:
		d.account(a.Summary)
		d.toldLoad(now, a.Load)
		d.settle(now, q.Chunks, a.Entries)
	}
}

// settle resolves doubts: what the sink holds is saved, the rest goes out again.
func (d *desk) settle(now time.Time, doubts []chunk.ID, entries []wire.Entry) {
	there := make(map[chunk.ID]chunk.Digest, len(entries))
	for _, e := range entries {
		there[e.ID] = e.Digest
	}
	for _, id := range doubts {
		if digest, saved := there[id]; saved {
			d.saved(now, wire.Entry{ID: id, Digest: digest}, "", 0)
		} else {
			d.ledger.Settle(id)
			if h := d.held[id]; h != nil {
				h.ready = now
			}
		}
	}
	if len(doubts) > 0 {
		failpoint.Hit("fetcher.doubts.settled")
	}
}

// unfinished takes the saver's word that the result could not be laid out.
func (d *desk) unfinished(now time.Time, reason string) {
	d.failures++
	d.askAfter = now.Add(finishRetry)
	if d.failures >= finishTries {
		d.fail(fmt.Errorf("lay out the result: saver answered: %s", reason))
		return
	}
	d.f.log.Warn().Str("reason", reason).Msg("the saver could not lay out the result, asking again")
}

// finished ends the job: the sink has everything, once, and has laid it out.
func (d *desk) finished(total report.Summary) {
	failpoint.Hit("fetcher.finish.answered")
	now := time.Now()
	d.state, d.total = report.StateDone, total
	d.waiting.expire(d, now)
	d.report(now) // whoever asks from now on is told so
	d.f.log.Info().Uint64("objects", total.Objects).Uint64("outputs", total.Outputs).Uint64("dead", total.Dead).
		Uint64("chunks", total.Chunks).Str("output", total.Output).Msg("job done")
}

// order is a direct message to one mapper.
type order struct {
	mapper string
	kind   wire.OrderKind
	chunk  chunk.ID
}

// order sends a direct message to a mapper, unless too many are on their way:
// every order is repeated when the mapper's next list shows that it is needed.
func (d *desk) order(o order) {
	select {
	case d.f.orders <- o:
	default:
	}
}

// orderLoop delivers orders. Nobody there means that a mapper is gone.
func (f *Fetcher) orderLoop(ctx context.Context) {
	group := new(errgroup.Group)
	group.SetLimit(maxPings)
	for o := range f.orders {
		group.Go(func() error { f.deliver(ctx, o); return nil })
	}
	_ = group.Wait() // its members return no errors
}

// endMappers asks all mappers to end, since there is no next job for them here.
func (f *Fetcher) endMappers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, goneAfter)
	defer cancel()
	message := wire.Order{Plan: f.planID, Epoch: f.grant.epoch, Kind: wire.OrderDrain, Reason: "the job is done"}.Encode()
	group := new(errgroup.Group)
	for _, m := range f.Status().Mappers {
		group.Go(func() error {
			if _, err := f.bus.Request(ctx, wire.VerbMapper(m.ID), message); err != nil {
				f.log.Debug().Err(err).Str("mapper", m.Name).Str("mapper_id", m.ID).Msg("mapper may not know that the job is done")
			}
			return nil
		})
	}
	_ = group.Wait() // its members return no errors
}

func (f *Fetcher) deliver(ctx context.Context, o order) {
	asking, cancel := context.WithTimeout(ctx, goneAfter-suspectAfter)
	defer cancel()
	message := wire.Order{Plan: f.planID, Epoch: f.grant.epoch, Kind: o.kind, Chunk: o.chunk}.Encode()
	_, err := f.bus.Request(asking, wire.VerbMapper(o.mapper), message)
	switch {
	case errors.Is(err, bus.ErrNobody):
		f.post(ctx, func(d *desk) { d.vanish(o.mapper) })
	case err == nil:
		f.post(ctx, func(d *desk) { d.ledger.Alive(time.Now(), o.mapper) })
	}
}
