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

// assign answers waiting requests with grants while there is work. It does nothing while there is no connection,
// because the answers would be lost and the mappers would wait for them.
func (c *coordinator) assign(now time.Time) {
	if c.state != report.StateRunning || !c.online || c.paused || c.err != nil || now.Before(c.listenTo) || c.doubtful() || c.rivalry(now) != "" || c.givingUp {
		return
	}
	for len(c.f.sends) < cap(c.f.sends) && c.mayAssign(now) {
		c.excludeIneligible(now)
		if !c.waiting.first(func(a ask) bool { return c.assignOne(now, a) }) {
			return // pieces are ready, but no waiting request is eligible for one
		}
	}
}

// mayAssign reports whether one more piece may go out now.
func (c *coordinator) mayAssign(now time.Time) bool {
	return c.hasRoom(now) && !now.Before(c.limit.next) && c.ledger.HasWork(now) && !c.holdsBackUntried(now)
}

// hasRoom reports whether one more chunk may be on its way.
func (c *coordinator) hasRoom(now time.Time) bool {
	if c.f.mayGoOut(c.largest) {
		c.noRoom = time.Time{}
		return true
	}
	if c.noRoom.IsZero() {
		c.noRoom = now
	}
	return false
}

// assignOne answers a request with a grant, if there is work for its mapper. It records the leases before it sends the
// grant: if the reply is lost, the mapper's next list shows it, while a piece that was sent without a lease could be
// mapped twice.
func (c *coordinator) assignOne(now time.Time, a ask) bool {
	m := c.mappers[a.mapper]
	s := sending{request: a.request, mapper: c.mapperOf(a.mapper)}
	s.term = c.terms[s.mapper.Version]
	size := c.sizeFor(m, a.pace, a.grain)
	for objects := 0; objects < size.least && len(s.pieces) < wire.MaxPieces && s.bytes < c.mostBytes(); {
		if m != nil && (m.mixes() || !c.eligible(now, m.of)) || objects > 0 && !c.mayAssign(now) {
			break
		}
		lease, ok := c.ledger.Lease(now, a.mapper, a.seq, size.most, len(s.pieces))
		if !ok {
			break
		}
		failpoint.Hit("fetcher.lease.recorded")
		objects += lease.Piece.Len()
		s.add(c.outgoing(now, lease, s.mapper))
		if m != nil {
			c.noteAssigned(m, lease.Piece)
		}
		if lease.Suspect || lease.Backup {
			break // if the mapper vanishes, it is clear which piece crashed it
		}
	}
	if len(s.pieces) == 0 {
		return false
	}
	c.f.sends <- s
	return true
}

// outgoing collects the objects of a piece that goes out.
func (c *coordinator) outgoing(now time.Time, lease ledger.Lease, to report.Mapper) outgoing {
	h := c.held[lease.Piece.Chunk]
	o := outgoing{lease: lease, chunk: h.chunk, mark: h.mark, digest: h.digest, of: h.count, bytes: h.bytesOf(lease.Piece), span: c.f.traceWait(now, h, lease, to)}
	c.f.memory.out.Add(int64(o.bytes))
	c.goneOut(h, lease.Piece)
	if c.rate > 0 {
		c.limit.spend(now, lease.Piece.Len(), c.rate, h.ready)
	}
	return o
}

// mapperOf returns a mapper by its ID. For a departed mapper it has only the ID.
func (c *coordinator) mapperOf(id string) report.Mapper {
	if m := c.mappers[id]; m != nil {
		return m.Mapper
	}
	return report.Mapper{ID: id}
}

// sending is a grant on its way to a mapper.
type sending struct {
	request *bus.Request
	mapper  report.Mapper
	term    uint64 // of the mapper's version
	shadow  bool   // copies of saved pieces, which have no lease
	pieces  []outgoing
	bytes   int // of the pieces
}

func (s *sending) add(o outgoing) {
	s.pieces = append(s.pieces, o)
	s.bytes += o.bytes
}

// outgoing is a piece of a grant.
type outgoing struct {
	lease  ledger.Lease
	chunk  *chunk.Chunk // nil: read it again by mark
	mark   source.Mark
	digest chunk.Digest // of the chunk
	of     int          // objects of the chunk
	bytes  int          // approximate
	span   trace.Span   // of the time the piece waited
}

// sendLoop answers mappers. It rereads chunks that are not kept.
func (f *Fetcher) sendLoop(ctx context.Context) {
	var buffer []byte // of the last grant
	for s := range f.sends {
		if ctx.Err() == nil { // once ctx has ended, the loop only drains the channel
			buffer = f.send(ctx, s, buffer)
		}
		f.memory.out.Add(-int64(s.bytes))
		f.wake()
	}
}

// send answers a mapper with a grant, which it encodes in a buffer. It returns the buffer for the next one.
func (f *Fetcher) send(ctx context.Context, s sending, buffer []byte) []byte {
	work := wire.Work{Status: wire.WorkGrant, Plan: f.planID, Epoch: f.grant.epoch, Shadow: s.shadow, Grant: make([]wire.Granted, 0, len(s.pieces))}
	var last chunk.Chunk // consecutive pieces of a chunk are read only once
	for _, o := range s.pieces {
		if o.chunk == nil && last.Body != nil && last.ID == o.lease.Piece.Chunk {
			o.chunk = &last
		}
		c, err := f.body(ctx, o.chunk, o.mark, o.digest)
		if err != nil {
			for _, o := range s.pieces {
				o.span.Fail(err)
				o.span.End()
			}
			f.post(ctx, func(c *coordinator) { c.fail(err) })
			return buffer
		}
		last = c
		work.Grant = append(work.Grant, f.granted(s, o, c.Part(o.lease.Piece))) //nolint:contextcheck // the piece carries its trace context
	}
	failpoint.Hit("fetcher.lease.sending")
	message := work.EncodeTo(buffer)
	free := f.reply(s.request, message)
	for i, o := range s.pieces {
		o.span.End()
		f.log.Debug().Uint64("chunk", uint64(o.lease.Piece.Chunk)).Uint64("first", work.Grant[i].Chunk.First).Int("attempt", o.lease.Attempt).Bool("backup", o.lease.Backup).Bool("shadow", s.shadow).
			Str("mapper", s.mapper.Name).Str("mapper_version", s.mapper.Version).Msg("piece handed out")
	}
	failpoint.Hit("fetcher.lease.sent")
	if !free || cap(message.Body) > 2*maxGrantBytes { // a chunk of large objects may take much more
		return nil
	}
	return message.Body
}

func (f *Fetcher) granted(s sending, o outgoing, objects chunk.Chunk) wire.Granted {
	if !s.shadow {
		f.metrics.sent(o.lease, objects)
	}
	return wire.Granted{
		Chunk: objects, From: o.lease.Piece.From, Of: o.of, Digest: o.digest,
		Attempt: o.lease.Attempt, Skip: o.lease.Skip, Careful: o.lease.Careful,
		Token: f.token(o.lease.Piece, o.of, objects.First, o.digest, s.term),
		Trace: headers(o.span.Context()),
	}
}

// token returns the lease token by which the saver checks a result.
func (f *Fetcher) token(p chunk.Piece, of int, first uint64, digest chunk.Digest, term uint64) string {
	return wire.Lease{Plan: f.planID, Piece: p, Of: of, First: first, Digest: digest, Term: term}.Token(f.grant.key)
}

// body returns a kept chunk, or reads it again. A source that has changed since it was cut ends the job.
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

// traceWait begins the span from when a piece became ready until it is sent. A backup attempt has no wait.
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
