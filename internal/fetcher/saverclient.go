package fetcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	askTimeout = 5 * time.Second        // for one call to the saver
	askPause   = 100 * time.Millisecond // before it is repeated

	// confirmGrace is how long the fetcher waits for the confirmation of a piece that its mapper no longer lists,
	// before it asks the saver whether the piece is saved. The confirmation normally takes a few milliseconds.
	confirmGrace = 50 * time.Millisecond
	finishPause  = 100 * time.Millisecond // between two questions whether the result is merged
	finishRetry  = time.Second            // before a failed merge is requested again
	finishTries  = 3                      // number of failed merges that end the job
)

// question returns a question of this fetcher to the saver.
func (f *Fetcher) question(op wire.SyncOp) wire.Sync {
	return wire.Sync{Op: op, Plan: f.planID, Fetcher: f.bus.ID(), Epoch: f.grant.epoch}
}

// ask asks the saver one question.
func (f *Fetcher) ask(ctx context.Context, q wire.Sync) (wire.SyncAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	reply, err := f.bus.Request(ctx, wire.VerbSync, q.Encode())
	if err != nil {
		return wire.SyncAnswer{}, fmt.Errorf("ask saver: %w", err)
	}
	return wire.DecodeSyncAnswer(reply)
}

// trySave sends dead letters once, and reports whether the saver has saved or refused them.
func (f *Fetcher) trySave(ctx context.Context, message wire.Message) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	failpoint.Hit("fetcher.deadletter.sending")
	reply, err := f.bus.Request(ctx, wire.VerbSave, message)
	if err != nil {
		return false, err
	}
	failpoint.Hit("fetcher.deadletter.answered")
	answer, err := wire.DecodeSaveAnswer(reply)
	if err == nil && f.isRival(answer.Sink) {
		f.post(ctx, func(c *coordinator) { c.hearRival(time.Now(), answer.Sink, answer.Plan == "") })
		return false, nil
	}
	status := answer.Of(0)
	if err == nil && status == wire.SaveRefused {
		return true, fmt.Errorf("save dead letters: saver refused: %s", answer.Reason)
	}
	return err == nil && status != wire.SaveBusy, nil
}

// insist repeats a question until the saver of the job's sink answers it, or refuses for good.
func (f *Fetcher) insist(ctx context.Context, q wire.Sync) (wire.SyncAnswer, error) {
	for {
		answer, err := f.ask(ctx, q)
		switch {
		case err == nil && f.isRival(answer.Sink):
			f.post(ctx, func(c *coordinator) { c.hearRival(time.Now(), answer.Sink, answer.Plan == "") })
		case err == nil && answer.Status == wire.SyncOK:
			return answer, nil
		case err == nil && (answer.Status == wire.SyncFenced || answer.Status == wire.SyncOtherPlan):
			return answer, refusal(answer)
		}
		if err := backoff.Sleep(ctx, askPause); err != nil {
			return wire.SyncAnswer{}, err
		}
	}
}

// refusal turns a saver's refusal into the error that ends the job.
func refusal(a wire.SyncAnswer) error {
	switch a.Status {
	case wire.SyncFenced:
		return fmt.Errorf("%w (epoch %d)", ErrFenced, a.Epoch)
	case wire.SyncOtherPlan:
		return fmt.Errorf("%w: %s", ErrOtherPlan, a.Reason)
	default:
		return fmt.Errorf("saver answered %s: %s", a.Status, a.Reason)
	}
}

// call queues a call to the saver, for which the coordinator does not wait. The function that do returns runs in the
// coordinator. There is only one call at a time.
func (c *coordinator) call(do func(context.Context) func(*coordinator)) {
	c.calling = true
	f := c.f
	f.calls <- func(ctx context.Context) {
		result := do(ctx)
		f.post(ctx, func(c *coordinator) { c.calling = false; result(c) })
	}
}

// callSaver makes the most urgent call that is due: find out why a hopeless job fails, merge the result, fence a
// version whose circuit breaker has opened, ask which unconfirmed chunks are saved, or ask whether the epoch still
// holds.
func (c *coordinator) callSaver(now time.Time) {
	if c.calling || now.Before(c.askAfter) {
		return
	}
	q := c.f.question(wire.SyncList)
	unconfirmed, unfenced := c.unconfirmed(now), c.unfenced()
	switch {
	case c.givingUp:
		q.Op, q.From, q.Limit = wire.SyncDead, lastChunk, firstObjects // to find the most frequent error
	case c.state != report.StateDone && c.cut && c.ledger.Done():
		c.state = report.StateFinishing
		q.Op, q.Total = wire.SyncFinish, wire.Totals{Chunks: uint64(c.ledger.Counts().Added), Objects: c.objects}
		failpoint.Hit("fetcher.finish.asking")
	case unfenced != nil:
		q.Op, q.Version, q.Term = wire.SyncFence, unfenced.Name, c.terms[unfenced.Name]+1
	case len(unconfirmed) > 0:
		unconfirmed = unconfirmed[:min(len(unconfirmed), wire.MaxSaved, pageOf(c.f.plan))]
		q.Chunks = chunksOf(unconfirmed)
	case now.Sub(c.renewed) < renewInterval && !c.doubtful() && !c.uneasy(now) && !c.savers.rivals(now):
		return
	default:
		q.From, q.Limit = lastChunk, 1 // lists nothing: the question is whether the epoch holds
	}
	doubts := c.epochDoubts // the answer resolves these doubts, but not later ones
	c.call(func(ctx context.Context) func(*coordinator) {
		answer, err := c.f.ask(ctx, q)
		return func(c *coordinator) { c.hearAnswer(now, doubts, q, unconfirmed, answer, err) }
	})
}

// unconfirmed returns the pieces about which the saver must be asked. At first it returns none for confirmGrace: a
// mapper that has the saver's answer no longer lists the piece, and the saver's confirmation, which also says how many
// dead letters there are, may still be on its way.
func (c *coordinator) unconfirmed(now time.Time) []chunk.Piece {
	pieces := c.ledger.Unconfirmed()
	switch {
	case len(pieces) == 0:
		c.askUnconfirmed = time.Time{}
	case c.askUnconfirmed.IsZero():
		c.askUnconfirmed = now.Add(confirmGrace)
	}
	if now.Before(c.askUnconfirmed) {
		return nil
	}
	c.askUnconfirmed = time.Time{}
	return pieces
}

// uneasy reports whether chunks are in flight and the saver has been silent for a while. Then the fetcher asks it,
// because no chunk is a straggler while nothing can be saved.
func (c *coordinator) uneasy(now time.Time) bool {
	return c.ledger.Counts().InFlight > 0 && now.Sub(c.heard) >= easyInterval && now.Sub(c.renewed) >= easyInterval
}

// chunksOf returns the chunks of an ascending list of pieces, each once.
func chunksOf(pieces []chunk.Piece) []chunk.ID {
	ids := make([]chunk.ID, len(pieces))
	for i, p := range pieces {
		ids[i] = p.Chunk
	}
	return slices.Compact(ids)
}

// hearAnswer handles the saver's answer to q, which asks about the unconfirmed pieces.
func (c *coordinator) hearAnswer(asked time.Time, doubts uint64, q wire.Sync, unconfirmed []chunk.Piece, a wire.SyncAnswer, err error) {
	now := time.Now()
	if err == nil && c.f.isRival(a.Sink) {
		c.hearRival(now, a.Sink, a.Plan == "")
		c.saverAway = false
		c.askAfter = now.Add(askPause)
		return
	}
	if err == nil && q.Op == wire.SyncDead && (a.Status == wire.SyncOK || a.Status == wire.SyncFailed) {
		c.giveUp(a.Dead)
		return
	}
	if err == nil && a.Status == wire.SyncFailed && q.Op != wire.SyncFinish {
		err = errors.New(a.Reason)
	}
	c.saverAway = err != nil
	c.saver.Note(err)
	if err != nil {
		c.askAfter = now.Add(askPause)
		return
	}
	c.renewed, c.epochChecked = asked, doubts
	c.savers.hear(now, c.f.grant.sink)
	if c.savers.rivals(now) {
		c.askAfter = now.Add(askPause)
	}
	switch {
	case a.Status == wire.SyncWorking:
		c.failure = cmp.Or(a.Reason, c.failure) // the saver begins again, and gives the reason only once
		c.hearLoad(now, a.Load)
		c.askAfter = now.Add(finishPause)
	case a.Status == wire.SyncFailed:
		c.mergeFailed(now, a.Reason)
	case a.Status != wire.SyncOK:
		c.fail(refusal(a))
	case q.Op == wire.SyncFinish:
		c.hearLoad(now, a.Load)
		c.finished(a.Summary)
	case q.Op == wire.SyncFence:
		c.fenced(q.Version, q.Term)
	default:
		c.account(a.Summary)
		c.hearLoad(now, a.Load)
		if q.Chunks != nil {
			c.resolveUnconfirmed(now, unconfirmed, a.Entries)
		}
	}
}

// resolveUnconfirmed records the pieces that the sink holds as saved, and makes the rest ready again.
func (c *coordinator) resolveUnconfirmed(now time.Time, unconfirmed []chunk.Piece, entries []wire.Entry) {
	c.confirmOverlapping(unconfirmed, entries)
	for _, p := range unconfirmed {
		c.ledger.NotSaved(p)
		if h := c.held[p.Chunk]; h != nil {
			h.ready = now
		}
	}
	failpoint.Hit("fetcher.doubts.settled")
}

// confirmOverlapping records as saved those pieces in the sink that share objects with the given ones. Other pieces of
// their chunks were confirmed before. It reports whether there are any.
func (c *coordinator) confirmOverlapping(pieces []chunk.Piece, entries []wire.Entry) (found bool) {
	for _, e := range entries {
		if slices.ContainsFunc(pieces, e.Piece().Overlaps) {
			c.saved(time.Now(), e, "", unknownDead)
			found = true
		}
	}
	return found
}

// mergeFailed handles a failed merge of the result. The reason is logged when another try succeeds, and else ends the
// job. A fetcher that is a process of its own logs it at once.
func (c *coordinator) mergeFailed(now time.Time, reason string) {
	c.failures++
	c.failure = reason
	c.askAfter = now.Add(finishRetry)
	if c.failures >= finishTries {
		c.fail(fmt.Errorf("merge result: saver answered: %s", reason))
		return
	}
	if c.failures == 1 {
		warning := c.f.log.Warn()
		if c.f.logsAlone {
			warning.Str("reason", reason)
		}
		warning.Msg("the saver could not merge the result, asking again")
	}
}

// finished ends the job: the sink holds everything once, and the result is merged.
func (c *coordinator) finished(total report.Summary) {
	failpoint.Hit("fetcher.finish.answered")
	now := time.Now()
	c.state, c.total = report.StateDone, total
	c.waiting.expire(c, now)
	if c.failures > 0 {
		c.f.log.Warn().Str("reason", c.failure).Msg("the saver could merge the result only when asked again")
	}
	c.report(now) // at once, so that a status after this event says done
	c.f.log.Info().Uint64("objects", total.Objects).Uint64("outputs", total.Outputs).Uint64("dead", total.Dead).
		Uint64("chunks", total.Chunks).Str("output", total.Output).Msg("job done")
}

// deadLetterFatal has pieces that crashed too many mappers saved as dead letters. Then it asks what the sink holds of
// the chunk, because the confirmation may be lost. The dead letters may also overlap a late result that was saved
// before; then the rest of the piece is dead again. So is the whole piece if the saver has not taken the dead letters.
// Each try is one call, so that those of callSaver, which find out why the saver takes none, are made in between.
func (c *coordinator) deadLetterFatal(now time.Time) {
	for !c.calling && !now.Before(c.askAfter) {
		p, ok := c.ledger.TakeDead()
		if !ok {
			return
		}
		h := c.held[p.Chunk]
		if h == nil {
			continue
		}
		f, kept := c.f, *h                               // the coordinator may send other pieces of the chunk meanwhile
		failures, term := f.cfg.MaxAttempts, c.terms[""] // these dead letters belong to no mapper version
		c.call(func(ctx context.Context) func(*coordinator) {
			message, objects, err := f.deadLetters(ctx, &kept, p, failures, term)
			done := err != nil
			if !done {
				done, err = f.trySave(ctx, message)
			}
			q := f.question(wire.SyncList)
			q.Chunks = []chunk.ID{p.Chunk}
			there, _ := f.ask(ctx, q) // without an answer nothing is known
			return func(c *coordinator) {
				found := !f.isRival(there.Sink) && c.confirmOverlapping([]chunk.Piece{p}, there.Entries)
				switch {
				case found, done && err == nil:
					f.metrics.deadLettered(objects)
				case done && ctx.Err() == nil:
					c.fail(err)
				default:
					c.ledger.ReturnDead(p)
					c.askAfter = time.Now().Add(askPause)
				}
			}
		})
	}
}

// deadLetters returns all objects of a piece as dead letters, in a message for the saver, which confirms the piece like
// any other.
func (f *Fetcher) deadLetters(ctx context.Context, h *held, p chunk.Piece, failures int, term uint64) (wire.Message, chunk.Chunk, error) {
	whole, err := f.body(ctx, h.chunk, h.mark, h.digest)
	if err != nil {
		return wire.Message{}, chunk.Chunk{}, err
	}
	c := whole.Part(p)
	reason := fmt.Sprintf("%d mappers vanished while they held chunk %d", failures, c.ID)
	result := wire.Result{
		Chunk: c.ID, From: p.From, Of: h.count, First: c.First, Objects: c.Count, Attempt: failures, Digest: h.digest,
		Token: f.token(p, h.count, c.First, h.digest, term), Counts: make([]int, c.Count), DeadCount: c.Count, Trace: headers(h.trace),
	}
	bad := c.Bad
	for i, object := range chunk.Objects(c.Body) {
		letter := chunk.DeadLetter{Ordinal: c.First + uint64(i), Chunk: c.ID, Object: object}
		if len(bad) > 0 && bad[0].Index == p.From+i { // the source could not read this object, so no mapper has touched it
			letter.Error, bad = bad[0].Reason, bad[1:]
		} else {
			letter.Error, letter.Attempts, letter.Mapper = reason, failures, "fetcher"
		}
		result.Dead = letter.Append(result.Dead)
	}
	save := wire.Save{Plan: f.planID, Epoch: f.grant.epoch, Mapper: report.Mapper{ID: f.bus.ID(), Name: "fetcher"}, Results: []wire.Result{result}}
	return save.Encode(), c, nil
}
