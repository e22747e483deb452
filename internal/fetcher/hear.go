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

// hearNext takes a mapper's request for work.
func (d *coordinator) hearNext(arrived time.Time, r *bus.Request, n wire.Next) {
	d.hear(arrived, n.Mapper, n.Plan, n.Holding, nil, false)
	d.doubtEpoch(n.Plan, n.Epoch)
	m := d.mappers[n.Mapper.ID]
	switch {
	case m == nil || !m.admit(n.Seq):
		return // a copy, or so late that the mapper has stopped waiting
	case d.state == report.StateDone:
		d.f.reply(r, d.word(wire.WorkDone).Encode())
		return
	}
	if why := d.refuse(m, n.Mapper.Transform); why != "" {
		refusal := d.word(wire.WorkRefused)
		refusal.Reason, refusal.Transform = why, d.f.cfg.Transform
		d.f.reply(r, refusal.Encode())
	} else {
		d.waiting.add(ask{request: r, mapper: n.Mapper.ID, seq: n.Seq, until: arrived.Add(n.Wait)})
	}
}

// hearBeat takes a heartbeat.
func (d *coordinator) hearBeat(now time.Time, b wire.Beat) {
	fresh := d.hear(now, b.Mapper, b.Plan, b.Holding, b.Doing, b.Goodbye)
	d.doubtEpoch(b.Plan, b.Epoch)
	if m := d.mappers[b.Mapper.ID]; m != nil {
		m.draining = m.draining || b.Draining // a heartbeat that came late takes nothing back
	}
	if fresh {
		d.hearObjects(b)
	}
	if b.Draining {
		d.waiting.release(d, b.Mapper.ID)
	}
}

// doubtEpoch makes the coordinator ask the saver whether the epoch still holds, and
// assign nothing until it knows, when a mapper has seen a higher one. The mapper's word
// alone is not enough: its epoch may be of a sink that was removed.
func (d *coordinator) doubtEpoch(plan chunk.PlanID, epoch uint64) {
	if plan == d.f.planID && epoch > d.f.grant.epoch {
		d.epochDoubts++
	}
}

// hear compares the list of what a mapper holds with the ledger. It says whether this
// is the latest list of a mapper that is known.
func (d *coordinator) hear(now time.Time, m report.Mapper, plan chunk.PlanID, h wire.Holding, doing *wire.Doing, goodbye bool) (fresh bool) {
	report := ledger.Report{Mapper: m.ID, Seq: h.Seq, Held: h.Held, Asking: h.Asking, Goodbye: goodbye}
	if plan != d.f.planID { // it holds chunks of another job, or none yet
		report.Held = nil
	} else {
		report.Doing = d.doing(doing)
	}
	heard := d.ledger.Hear(now, report)
	if heard.Stale {
		return false
	}
	d.waiting.drop(m.ID, h.Asking)
	if goodbye {
		if m, known := d.mappers[m.ID]; known {
			d.removeMapper(now, m, "said goodbye")
		}
		return false
	}
	if known := d.mappers[m.ID]; known == nil {
		d.mappers[m.ID] = &mapper{Mapper: m, arrived: map[uint64]struct{}{}}
		d.mappers[m.ID].pace.Begin(now)
		d.joinVersion(now, d.mappers[m.ID])
		d.mapperLog.joined(now, d.mappers[m.ID])
	} else if known.Mapper != m { // it has taken the job's transform
		known.Mapper = m
		d.joinVersion(now, known)
	}
	d.mappers[m.ID].note(now, h.Asking)
	for _, id := range heard.Drop {
		d.order(order{mapper: m.ID, kind: wire.OrderDrop, chunk: id})
	}
	return true
}

// doing is the object that a mapper has announced, as the ledger takes it; nil if the
// chunk has no such object.
func (d *coordinator) doing(b *wire.Doing) *ledger.Doing {
	if b == nil {
		return nil
	}
	h := d.held[b.Chunk]
	switch {
	case h == nil || b.Index > h.count:
		return nil
	case b.Index == h.count:
		return &ledger.Doing{Chunk: b.Chunk, Index: ledger.Mapped}
	}
	return &ledger.Doing{Chunk: b.Chunk, Index: b.Index}
}

// hearSaved takes the saver's confirmation that chunks are durable.
func (d *coordinator) hearSaved(now time.Time, s wire.Saved) {
	switch {
	case s.Plan != d.f.planID:
		return
	case d.f.isRival(s.Sink):
		d.hearRival(now, s.Sink, false)
		return
	case s.Epoch > d.f.grant.epoch:
		d.fail(ErrFenced)
		return
	case s.Epoch < d.f.grant.epoch:
		return // from before the claim: its chunks may have been requeued by redo since
	}
	for _, c := range s.Chunks {
		d.saved(now, c.Entry, c.Mapper, c.Dead)
	}
	d.account(s.Total)
	d.hearLoad(now, s.Load)
}

// saved notes that the sink holds a chunk. The mapper may be unknown: "". A chunk that
// the sink holds with other content ends the job.
func (d *coordinator) saved(now time.Time, e wire.Entry, mapper string, dead int) {
	h, known := d.held[e.ID]
	if known && h.digest != e.Digest {
		d.fail(changed(e.ID, h.first, h.count))
		return
	}
	outcome := d.ledger.Saved(now, e.ID, mapper)
	if outcome.Outcome == ledger.Acked {
		counter := d.f.metrics.savedByUnknown
		if m := d.mappers[outcome.Mapper]; m != nil {
			counter = m.counter
		}
		counter.Inc()
	}
	for _, other := range outcome.Others {
		d.order(order{mapper: other, kind: wire.OrderDrop, chunk: e.ID})
	}
	if known {
		if outcome.Outcome == ledger.Acked {
			if d.rollout.Shadow.Samples(e.ID) {
				d.shadow.add(e.ID, h, d.f.memory.most/4)
			}
		}
		if !h.sent {
			d.ahead -= h.bytes
		}
		if h.chunk != nil {
			d.kept -= h.bytes
		}
		delete(d.held, e.ID)
	}
	if m, here := d.mappers[outcome.Mapper]; here {
		m.saved++
		if known {
			m.pace.Add(now, h.count)
			m.of.noteSaved(now, h.count, dead, outcome.Took)
			d.recordOutcome(now, m.of, rollout.Outcome{Objects: h.count, Failed: dead})
		}
	}
}

// account notes what the sink holds.
func (d *coordinator) account(total report.Summary) {
	if total.Chunks < d.total.Chunks { // an older message that came late
		return
	}
	d.total = total
	d.givingUp = d.givingUp || d.hopeless()
	if limit := d.f.cfg.MaxDead; limit >= 0 && total.Dead > uint64(limit) {
		d.tooManyDead("%d", total.Dead)
	}
}
