package fetcher

import (
	"context"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// handOut gives chunks to waiting mappers while there are both.
func (d *desk) handOut(now time.Time) {
	if d.state != report.StateRunning || d.paused || d.err != nil || now.Before(d.listenTo) || d.doubtful() || d.rivalry(now) != "" || d.doomed {
		return
	}
	for len(d.f.sends) < cap(d.f.sends) && d.f.mayGoOut(d.largest) && !now.Before(d.limit.next) && d.ledger.HasWork(now) && !d.holdsBackUntried(now) {
		d.bar(now)
		if !d.waiting.first(func(a ask) bool { return d.lease(now, a) }) {
			return // there is work, but none that those who wait may have
		}
	}
}

// lease hands one chunk to the mapper that asked. The lease is on the books
// before the chunk is sent; if the reply is lost, the mapper's next list says so.
func (d *desk) lease(now time.Time, a ask) bool {
	m := d.mappers[a.mapper]
	if d.shadows(m) {
		return false
	}
	if m != nil && m.mixes() {
		return false
	}
	if m != nil && !m.of.mayHave(now, func() int { return d.heldBy(m.of) }) {
		return false
	}
	lease, ok := d.ledger.Lease(now, a.mapper, a.seq)
	if !ok {
		return false
	}
	if m != nil {
		m.of.transform = m.Transform
		d.given(m.of)
	}
	failpoint.Hit("fetcher.lease.recorded")
	h := d.held[lease.ID]
	d.f.memory.out.Add(int64(h.bytes))
	to := d.mapperOf(a.mapper)
	d.f.sends <- sending{
		request: a.request, mapper: to, lease: lease, term: d.terms[to.Version], chunk: h.chunk, mark: h.mark, digest: h.digest, bytes: h.bytes, span: d.f.traceWait(now, h, lease, to),
	}
	if !h.sent {
		h.sent = true
		d.ahead -= h.bytes
	}
	if d.f.source.Rereads() && h.chunk != nil {
		h.chunk = nil
		d.kept -= h.bytes
	}
	if d.rate > 0 {
		d.limit.given(now, h.count, d.rate, h.ready)
	}
	return true
}

// mapperOf names a mapper that may be gone already.
func (d *desk) mapperOf(id string) report.Mapper {
	if m := d.mappers[id]; m != nil {
		return m.Mapper
	}
	return report.Mapper{ID: id}
}

// sending is a lease on its way to its mapper.
type sending struct {
	request *bus.Request
	mapper  report.Mapper
	lease   ledger.Lease
	term    uint64       // of the mapper's version
	chunk   *chunk.Chunk // nil: read it again by mark
	mark    source.Mark
	digest  chunk.Digest
	bytes   int        // of the chunk
	span    trace.Span // of the wait
	shadow  bool       // it is saved, and this copy is on no books
}

// sendLoop reads chunks again where it must, and answers the mappers.
func (f *Fetcher) sendLoop(ctx context.Context) {
	for s := range f.sends {
		if ctx.Err() == nil { // else the desk has ended; let it close the channel
			f.send(ctx, s)
		}
		f.memory.out.Add(-int64(s.bytes))
		f.wake()
	}
}

// send answers a mapper with a chunk.
func (f *Fetcher) send(ctx context.Context, s sending) {
	c, err := f.body(ctx, s.chunk, s.mark, s.digest)
	if err != nil {
		s.span.Fail(err)
		s.span.End()
		f.post(ctx, func(d *desk) { d.fail(err) })
		return
	}
	if !s.shadow {
		f.metrics.sent(s.lease, c)
	}
	failpoint.Hit("fetcher.lease.sending")
	f.reply(s.request, wire.Work{
		Status: wire.WorkChunk, Plan: f.planID, Epoch: f.grant.epoch, Chunk: c, Digest: s.digest,
		Attempt: s.lease.Attempt, Skip: s.lease.Skip, Careful: s.lease.Careful, Shadow: s.shadow,
		Token: f.token(c, s.digest, s.term),
		Trace: headers(s.span.Context()),
	}.Encode())
	s.span.End()
	f.log.Debug().Uint64("chunk", uint64(c.ID)).Int("attempt", s.lease.Attempt).Bool("backup", s.lease.Backup).Bool("shadow", s.shadow).
		Str("mapper", s.mapper.Name).Str("mapper_version", s.mapper.Version).Msg("chunk handed out")
	failpoint.Hit("fetcher.lease.sent")
}

// token is that of a chunk's lease.
func (f *Fetcher) token(c chunk.Chunk, digest chunk.Digest, term uint64) string {
	return wire.Lease{Plan: f.planID, Chunk: c.ID, First: c.First, Objects: c.Count, Digest: digest, Term: term}.Token(f.grant.key)
}

// body returns a chunk that is kept, or reads it again. A file that changed
// since it was cut ends the job.
func (f *Fetcher) body(ctx context.Context, kept *chunk.Chunk, mark source.Mark, digest chunk.Digest) (chunk.Chunk, error) {
	if kept != nil {
		return *kept, nil
	}
	c, err := f.source.Reread(ctx, mark)
	if err != nil {
		return chunk.Chunk{}, fmt.Errorf("read source again: %w", err)
	}
	if c.Digest() != digest {
		return chunk.Chunk{}, changed(c.ID, c.First, c.Count)
	}
	return c, nil
}

// bury commits chunks that took down too many mappers as dead letters.
func (d *desk) bury() {
	for !d.busy {
		id, ok := d.ledger.TakeDead()
		if !ok {
			return
		}
		h := d.held[id]
		if h == nil {
			continue
		}
		failures, term := d.f.cfg.MaxAttempts, d.terms[""] // dead letters of ours have no version
		d.errand(func(ctx context.Context) func(*desk) {
			err := d.f.burial(ctx, h, failures, term)
			return func(d *desk) {
				if err != nil && ctx.Err() == nil {
					d.fail(err)
				}
			}
		})
	}
}

// burial hands all objects of a chunk to the saver as dead letters. The
// saver's confirmation comes the way all confirmations do.
func (f *Fetcher) burial(ctx context.Context, h *held, failures int, term uint64) error {
	digest := h.digest
	c, err := f.body(ctx, h.chunk, h.mark, digest)
	if err != nil {
		return err
	}
	reason := fmt.Sprintf("chunk %d took down %d mappers", c.ID, failures)
	save := wire.Save{
		Plan: f.planID, Epoch: f.grant.epoch, Chunk: c.ID, First: c.First, Objects: c.Count, Attempt: failures, Digest: digest,
		Token:  f.token(c, digest, term),
		Mapper: report.Mapper{ID: f.bus.ID(), Name: "fetcher"}, Counts: make([]int, c.Count), DeadCount: c.Count,
		Trace: headers(h.trace),
	}
	f.metrics.buried(c)
	bad := c.Bad
	for i, object := range chunk.Objects(c.Body) {
		letter := chunk.DeadLetter{Ordinal: c.First + uint64(i), Chunk: c.ID, Object: object}
		if len(bad) > 0 && bad[0].Index == i { // no mapper was to touch it
			letter.Error, bad = bad[0].Reason, bad[1:]
		} else {
			letter.Error, letter.Attempts, letter.Mapper = reason, failures, "fetcher"
		}
		save.Dead = letter.Append(save.Dead)
	}
	message := save.Encode()
	for ctx.Err() == nil {
		if done, err := f.trySave(ctx, message); done {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(askPause):
		}
	}
	return ctx.Err()
}

func (f *Fetcher) trySave(ctx context.Context, message wire.Message) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	failpoint.Hit("fetcher.burial.sending")
	reply, err := f.bus.Request(ctx, wire.VerbSave, message)
	if err != nil {
		return false, err
	}
	failpoint.Hit("fetcher.burial.answered")
	answer, err := wire.DecodeSaveAnswer(reply)
	if err == nil && answer.Status == wire.SaveRefused {
		return true, fmt.Errorf("save dead letters: saver refused: %s", answer.Reason)
	}
	return err == nil && answer.Status != wire.SaveBusy, nil
}
