package fetcher

import (
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/rollout"
	"github.com/chunkline/chunkline/internal/wire"
)

// hearNext handles a mapper's request for work.
func (c *coordinator) hearNext(arrived time.Time, r *bus.Request, n wire.Next) {
	c.hear(arrived, n.Mapper, n.Plan, n.Holding, nil, false)
	c.doubtEpoch(n.Plan, n.Epoch)
	m := c.mappers[n.Mapper.ID]
	switch {
	case m == nil || !m.admit(n.Seq):
		return // a copy, or so late that the mapper has stopped waiting
	case c.state == report.StateDone:
		c.f.reply(r, c.word(wire.WorkDone).Encode())
		return
	}
	c.noteWorker(m, n)
	if why := c.refuse(m, n.Mapper.Transform); why != "" {
		refusal := c.word(wire.WorkRefused)
		refusal.Reason, refusal.Transform = why, c.f.cfg.Transform
		c.f.reply(r, refusal.Encode())
	} else {
		c.waiting.add(ask{request: r, mapper: n.Mapper.ID, seq: n.Seq, pace: n.Pace, grain: n.Grain, until: arrived.Add(n.Wait)})
	}
}

// hearBeat handles a heartbeat.
func (c *coordinator) hearBeat(now time.Time, b wire.Beat) {
	fresh := c.hear(now, b.Mapper, b.Plan, b.Holding, b.Doing, b.Goodbye)
	c.doubtEpoch(b.Plan, b.Epoch)
	if m := c.mappers[b.Mapper.ID]; m != nil {
		m.draining = m.draining || b.Draining // a delayed heartbeat from before the drain changes nothing
	}
	if fresh {
		c.hearRetries(now, c.mappers[b.Mapper.ID], b.Retries)
		c.hearObjects(b)
	}
	if b.Draining {
		c.waiting.release(c, b.Mapper.ID)
	}
}

// doubtEpoch handles a higher epoch that a mapper has seen. The coordinator asks the saver whether its own epoch still
// holds, and assigns nothing until it knows. The mapper's message alone is no proof: the epoch may be of a sink that
// was removed.
func (c *coordinator) doubtEpoch(plan chunk.PlanID, epoch uint64) {
	if plan == c.f.planID && epoch > c.f.grant.epoch {
		c.epochDoubts++
	}
}

// hear compares the list of what a mapper holds with the ledger. It reports whether this is the latest list of a known
// mapper.
func (c *coordinator) hear(now time.Time, m report.Mapper, plan chunk.PlanID, h wire.Holding, doing *wire.Doing, goodbye bool) (fresh bool) {
	report := ledger.Report{Mapper: m.ID, Seq: h.Seq, Held: h.Held, Asking: h.Asking, Goodbye: goodbye}
	if plan != c.f.planID { // the mapper holds chunks of another job, or none yet
		report.Held = nil
	} else {
		report.Doing = doingOf(doing, h.Held)
	}
	heard := c.ledger.Hear(now, report)
	if heard.Stale {
		return false
	}
	c.waiting.drop(m.ID, h.Asking)
	if goodbye {
		if m, known := c.mappers[m.ID]; known {
			m.held = len(heard.Lost)
			c.removeMapper(now, m, "said goodbye")
		}
		return false
	}
	if known := c.mappers[m.ID]; known == nil {
		c.mappers[m.ID] = &mapper{Mapper: m, arrived: map[uint64]struct{}{}}
		c.mappers[m.ID].pace.Begin(now)
		c.joinVersion(now, c.mappers[m.ID])
		c.mapperLog.joined(now, c.mappers[m.ID])
	} else if known.Mapper != m { // the mapper has adopted the job's transform
		known.Mapper = m
		c.joinVersion(now, known)
	}
	c.mappers[m.ID].note(now, h.Asking)
	for _, p := range heard.Drop {
		c.order(order{mapper: m.ID, kind: wire.OrderDrop, piece: p})
	}
	return true
}

// maxWorkers bounds the number of workers that a mapper may claim; WORKERS has the same bound.
const maxWorkers = 1024

// noteWorker records two facts about the mapper of a request: that it has this worker, and how long one object takes.
func (c *coordinator) noteWorker(m *mapper, n wire.Next) {
	if workers := min(n.Worker+1, maxWorkers); workers > m.workers {
		c.slots += workers - m.workers
		m.workers = workers
	}
	if n.Pace > 0 {
		m.of.objectTime = n.Pace
	}
}

// hearRetries takes what a mapper has tried again since its last heartbeat from the rate. What it tried again before
// this fetcher heard of it counted for an earlier fetcher.
func (c *coordinator) hearRetries(now time.Time, m *mapper, total uint64) {
	if m.beaten && total > m.retries && c.rate > 0 {
		c.limit.retry(now, total-m.retries, c.rate)
	}
	m.retries, m.beaten = total, true
}

// doingOf converts a mapper's announced object for the ledger; nil if the mapper holds no piece with it. The object
// after the last one means that all are mapped.
func doingOf(d *wire.Doing, held []chunk.Piece) *ledger.Doing {
	if d == nil {
		return nil
	}
	for _, p := range held {
		switch {
		case p.Chunk != d.Chunk:
		case p.Has(d.Index):
			return &ledger.Doing{Piece: p, Index: d.Index}
		case p.To == d.Index:
			return &ledger.Doing{Piece: p, Index: ledger.Mapped}
		}
	}
	return nil
}

// hearSaved handles the saver's confirmation that chunks are durable.
func (c *coordinator) hearSaved(now time.Time, s wire.Saved) {
	switch {
	case s.Plan != c.f.planID:
		return
	case c.f.isRival(s.Sink):
		c.hearRival(now, s.Sink, false)
		return
	case s.Epoch > c.f.grant.epoch:
		c.fail(ErrFenced)
		return
	case s.Epoch < c.f.grant.epoch:
		return // from before the claim: redo may have requeued its chunks since
	}
	for _, piece := range s.Pieces {
		if piece.ID >= chunk.ID(c.ledger.Counts().Added) {
			c.uncut.add(piece)
			continue
		}
		c.saved(now, piece.Entry, piece.Mapper, piece.Dead)
	}
	c.account(s.Total)
	c.hearLoad(now, s.Load)
}

// unknownDead is the number of dead letters of a piece that is known only from the sink's list. It says nothing about
// the version that has mapped the piece. If it counted as 0, it would close the circuit breaker of a version whose
// confirmations of failures get lost.
const unknownDead = -1

// saved records that the sink holds a piece, with this many dead letters. mapper is "" if it is unknown. If the sink
// holds the chunk with other content, the job ends.
func (c *coordinator) saved(now time.Time, e wire.Entry, mapper string, dead int) {
	h, known := c.held[e.ID]
	if known && (h.digest != e.Digest || h.count != e.Of) {
		c.fail(changed(e.ID, h.first, h.count))
		return
	}
	outcome := c.ledger.Saved(now, e.Piece(), mapper)
	for _, other := range outcome.Drop {
		c.order(order{mapper: other.Mapper, kind: wire.OrderDrop, piece: other.Piece})
	}
	if outcome.Outcome == ledger.Acked {
		counter := c.f.metrics.savedByUnknown
		if m := c.mappers[outcome.Mapper]; m != nil {
			counter = m.counter
		}
		counter.Add(float64(e.Objects))
		if known && c.rollout.Shadow.Samples(e.ID) {
			c.shadow.add(e.Piece(), h, c.f.memory.most/4)
		}
	}
	if m, here := c.mappers[outcome.Mapper]; here {
		m.saved++
		if known {
			m.pace.Add(now, e.Objects)
			m.of.noteSaved(now, e.Objects, max(0, dead), outcome.Took)
			if dead != unknownDead {
				c.recordOutcome(now, m.of, rollout.Outcome{Objects: e.Objects, Failed: dead})
			}
		}
	}
	if known && c.ledger.IsSaved(e.ID) {
		c.release(e.ID, h)
	}
}

// account records the content of the sink.
func (c *coordinator) account(total report.Summary) {
	if total.Chunks < c.total.Chunks { // a late, older message
		return
	}
	c.total = total
	c.givingUp = c.givingUp || c.hopeless()
	if limit := c.f.cfg.MaxDead; limit >= 0 && total.Dead > uint64(limit) {
		c.tooManyDead("%d", total.Dead)
	}
}
