package fetcher

import (
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// hearNext takes a mapper's request for work.
func (d *desk) hearNext(arrived time.Time, r *bus.Request, n wire.Next) {
	d.hear(arrived, n.Mapper, n.Plan, n.Holding, nil, false)
	d.doubtEpoch(n.Plan, n.Epoch)
	m := d.mappers[n.Mapper.ID]
	switch {
	case m == nil || !m.takes(n.Seq):
		return // doubled, or so late that nobody waits for the answer
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

// hearBeat takes a sign of life.
func (d *desk) hearBeat(now time.Time, b wire.Beat) {
	fresh := d.hear(now, b.Mapper, b.Plan, b.Holding, b.Doing, b.Goodbye)
	d.doubtEpoch(b.Plan, b.Epoch)
	if m := d.mappers[b.Mapper.ID]; m != nil {
		m.draining = m.draining || b.Draining // a beat that came late takes nothing back
	}
	if fresh {
		d.hearSigns(b)
	}
	if b.Draining {
		d.waiting.release(d, b.Mapper.ID)
	}
}

// doubtEpoch asks the saver at once whether the epoch still holds when a mapper
// has seen a higher one, and hands out nothing until it knows. It does not take the mapper's word: that may come from
// a sink that was removed.
func (d *desk) doubtEpoch(plan chunk.PlanID, epoch uint64) {
	if plan == d.f.planID && epoch > d.f.grant.epoch {
		d.doubts++
	}
}

// hear compares what a mapper says it holds with the ledger. It says whether this is
// the latest word of a mapper that is here.
func (d *desk) hear(now time.Time, m report.Mapper, plan chunk.PlanID, h wire.Holding, doing *wire.Doing, goodbye bool) (fresh bool) {
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
			d.farewell(now, m, "said goodbye")
		}
		return false
	}
	if known := d.mappers[m.ID]; known == nil {
		d.mappers[m.ID] = &mapper{Mapper: m, taken: map[uint64]struct{}{}}
		d.mappers[m.ID].pace.Begin(now)
		d.enlist(now, d.mappers[m.ID])
		d.crowd.comes(now, d.mappers[m.ID])
	} else if known.Mapper != m { // it has taken the job's transform
		known.Mapper = m
		d.enlist(now, known)
	}
	d.mappers[m.ID].note(now, h.Asking)
	for _, id := range heard.Drop {
		d.order(order{mapper: m.ID, kind: wire.OrderDrop, chunk: id})
	}
	return true
}

// doing is what a mapper has announced, in the ledger's words; nil if it is
// nothing that can be held against an object.
func (d *desk) doing(b *wire.Doing) *ledger.Doing {
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

// hearSaved takes the saver's word that chunks are durable.
func (d *desk) hearSaved(now time.Time, s wire.Saved) {
	switch {
	case s.Plan != d.f.planID:
		return
	case d.f.isRival(s.Sink):
		d.meet(now, s.Sink, false)
		return
	case s.Epoch > d.f.grant.epoch:
		d.fail(ErrFenced)
		return
	case s.Epoch < d.f.grant.epoch:
		return // the claim has asked what was there; since this was sent chunks may have been put back to work
	}
	for _, c := range s.Chunks {
		d.saved(now, c.Entry, c.Mapper, c.Dead)
	}
	d.account(s.Total)
	d.toldLoad(now, s.Load)
}

// saved takes a chunk off the books. The mapper may be unknown: "". A chunk
// that the sink made from other objects than ours ends the job.
func (d *desk) saved(now time.Time, e wire.Entry, mapper string, dead int) {
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
	for _, loser := range outcome.Others {
		d.order(order{mapper: loser, kind: wire.OrderDrop, chunk: e.ID})
	}
	if known {
		if outcome.Outcome == ledger.Acked {
			d.shadow.offer(e.ID, h, d.f.memory.most/4)
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
			m.of.add(now, h.count, dead, outcome.Took)
			d.judgeVersion(now, m.of, result{objects: h.count, dead: dead})
		}
	}
}

// account notes what the sink holds.
func (d *desk) account(total report.Summary) {
	if total.Chunks < d.total.Chunks { // an older message that came late
		return
	}
	d.total = total
	d.doomed = d.doomed || d.hopeless()
	if limit := d.f.cfg.MaxDead; limit >= 0 && total.Dead > uint64(limit) {
		d.tooManyDead("%d", total.Dead)
	}
}
