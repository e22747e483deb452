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

// assign answers waiting requests with chunks while there are both. It does nothing while there is no
// connection, because the answers would be lost and the mappers would wait for them.
func (c *coordinator) assign(now time.Time) {
	if c.state != report.StateRunning || !c.online || c.paused || c.err != nil || now.Before(c.listenTo) || c.doubtful() || c.rivalry(now) != "" || c.givingUp {
		return
	}
	for len(c.f.sends) < cap(c.f.sends) && c.f.mayGoOut(c.largest) && !now.Before(c.limit.next) && c.ledger.HasWork(now) && !c.holdsBackUntried(now) {
		c.excludeIneligible(now)
		if !c.waiting.first(func(a ask) bool { return c.assignOne(now, a) }) {
			return // chunks are ready, but no waiting request is eligible for one
		}
	}
}

// assignOne answers a request with a chunk, if there is one for its mapper. The lease
// is recorded before the chunk is sent: if the reply is lost, the mapper's next list
// says so, while a chunk that was sent without a lease could be mapped twice.
func (c *coordinator) assignOne(now time.Time, a ask) bool {
	m := c.mappers[a.mapper]
	if m != nil && (m.mixes() || !c.eligible(now, m.of)) {
		return false
	}
	lease, ok := c.ledger.Lease(now, a.mapper, a.seq, wholeChunks, emptyGrant)
	if !ok {
		return false
	}
	if m != nil {
		c.noteAssigned(m)
	}
	failpoint.Hit("fetcher.lease.recorded")
	h := c.held[lease.Piece.Chunk]
	c.f.memory.out.Add(int64(h.bytes))
	to := c.mapperOf(a.mapper)
	c.f.sends <- sending{
		request: a.request, mapper: to, lease: lease, term: c.terms[to.Version], chunk: h.chunk, mark: h.mark, digest: h.digest, bytes: h.bytes, span: c.f.traceWait(now, h, lease, to),
	}
	if !h.sent {
		h.sent = true
		c.ahead -= h.bytes
	}
	if c.f.source.Rereads() && h.chunk != nil {
		h.chunk = nil
		c.kept -= h.bytes
	}
	if c.rate > 0 {
		c.limit.spend(now, h.count, c.rate, h.ready)
	}
	return true
}

// mapperOf returns a mapper by its ID. Of a mapper that is gone it has only the ID.
func (c *coordinator) mapperOf(id string) report.Mapper {
	if m := c.mappers[id]; m != nil {
		return m.Mapper
	}
	return report.Mapper{ID: id}
}

// sending is a chunk on its way to a mapper.
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
	shadow  bool       // a copy of a saved chunk, which has no lease
}

// sendLoop answers mappers. It reads chunks again that are not kept.
func (f *Fetcher) sendLoop(ctx context.Context) {
	for s := range f.sends {
		if ctx.Err() == nil { // once ctx has ended, the loop only drains the channel
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
		f.post(ctx, func(c *coordinator) { c.fail(err) })
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

// token returns the lease token, with which the saver checks a result.
func (f *Fetcher) token(c chunk.Chunk, digest chunk.Digest, term uint64) string {
	return wire.Lease{Plan: f.planID, Chunk: c.ID, First: c.First, Objects: c.Count, Digest: digest, Term: term}.Token(f.grant.key)
}

// body returns a chunk that is kept, or reads it again. A source that has changed
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

// traceWait begins the span from when a chunk became ready until it is sent. A
// backup attempt has not waited.
func (f *Fetcher) traceWait(now time.Time, h *held, l ledger.Lease, to report.Mapper) trace.Span {
	ready := h.ready
	if l.Backup {
		ready = now
	}
	span := f.tracer.Start(h.trace, trace.Wait, ready)
	span.Number("chunk", uint64(l.Piece.Chunk))
	span.Number("attempt", uint64(l.Attempt))
	span.Number("epoch", f.grant.epoch)
	span.Flag("backup", l.Backup)
	span.Text("mapper", to.Name)
	span.Text("mapper_id", to.ID)
	span.Text("mapper_version", to.Version)
	return span
}

// headers encodes a place in a trace for a message.
func headers(c trace.Context) wire.Trace {
	parent, state := c.Headers()
	return wire.Trace{Parent: parent, State: state}
}
