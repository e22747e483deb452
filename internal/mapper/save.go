package mapper

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// saveTimeout is how long a mapper waits for the saver's answer, in addition to the time that a large result takes to
// travel.
const saveTimeout = 10 * time.Second

// A parcel is encoded results on their way to the saver, and their pieces. It keeps no reference to the objects, so
// their memory is free.
type parcel struct {
	message wire.Message
	pieces  []*sent

	// ctx ends the wait for an answer. It is the context of the piece if there is only one, else that of all work: when
	// one of several pieces is dropped, the others still need the answer.
	ctx context.Context
}

// sent is a piece whose result is on its way.
type sent struct {
	*piece
	span     trace.Span
	finished bool // saved, refused or dropped
}

// pack encodes results that were mapped at the given time, and begins their save spans.
func (m *Mapper) pack(work context.Context, self report.Mapper, b batch, mapped time.Time) parcel {
	p := parcel{ctx: work, pieces: make([]*sent, len(b.pieces))}
	if len(b.pieces) == 1 {
		p.ctx = b.pieces[0].ctx
	}
	for i, of := range b.pieces {
		span, place := m.span(trace.Save, mapped, of, b.results[i].Trace)
		b.results[i].Trace = place
		p.pieces[i] = &sent{piece: of, span: span}
		of.Chunk.Body = nil
	}
	first := b.pieces[0]
	p.message = wire.Save{Plan: first.plan, Epoch: first.epoch, Mapper: self, Shadow: first.shadow, Results: b.results}.Encode()
	return p
}

// cost is the memory that a parcel takes, in bytes.
func (p parcel) cost() int64 { return int64(p.message.Size() + itemCost*len(p.pieces)) }

// unfinished returns a piece whose result must be sent again, or nil if there is none.
func (p parcel) unfinished() *sent {
	for _, of := range p.pieces {
		if !of.finished {
			return of
		}
	}
	return nil
}

func (p *piece) log(e *zerolog.Event) *zerolog.Event {
	return e.Uint64("chunk", uint64(p.Chunk.ID)).Uint64("first", p.Chunk.First).Int("attempt", p.Attempt).Uint64("epoch", p.epoch)
}

// deliver sends results to the saver until it has saved or refused each of them, or their pieces have been dropped.
// Sending results again is safe: the saver keeps one of each.
func (m *Mapper) deliver(p parcel) {
	pause := m.backoff(uint64(p.pieces[0].Chunk.ID))
	for try := 1; ; try++ {
		m.finishDropped(p)
		next := p.unfinished() // ends the loop when all work has ended, too
		if next == nil {
			return
		}
		answer, err := m.trySave(p.ctx, p.message)
		noteRequest(m.outages.saver, err)
		if err != nil && try == 1 { // an outage of the saver is logged once, for all pieces
			next.log(m.log.Debug()).Err(err).Int("results", len(p.pieces)).Msg("results got no answer")
		}
		for i, of := range p.pieces {
			if !of.finished && of.ctx.Err() == nil {
				m.handleStatus(of, answer.Of(i), answer.Reason, err)
			}
		}
		m.finishDropped(p)
		if p.unfinished() != nil {
			sleep(p.ctx, pause.next(), nil)
		}
	}
}

// finishDropped gives up the pieces that were dropped.
func (m *Mapper) finishDropped(p parcel) {
	for _, of := range p.pieces {
		if of.ctx.Err() != nil && !of.finished {
			of.span.Fail(context.Cause(of.ctx))
			m.finish(of)
		}
	}
}

// handleStatus acts on the saver's answer about a result.
func (m *Mapper) handleStatus(p *sent, status wire.SaveStatus, reason string, err error) {
	p.span.Note(err)
	p.span.Text("outcome", string(status))
	switch status {
	case wire.SaveCommitted, wire.SaveDuplicate:
		p.log(m.log.Debug()).Str("outcome", string(status)).Msg("piece saved")
	case wire.SaveRefused:
		p.span.Fail(errors.New(reason))
		p.log(m.strange.Error()).Str("reason", reason).Msg("saver refused a result")
	default: // busy, or no answer: send it again
		return
	}
	m.metrics.results[string(status)].Inc()
	m.finish(p)
}

// finish ends a piece: the mapper no longer holds it.
func (m *Mapper) finish(p *sent) {
	p.finished = true
	p.span.End()
	m.state.release(p.piece)
	m.failures.forget(p.Piece())
}

func (m *Mapper) trySave(ctx context.Context, message wire.Message) (wire.SaveAnswer, error) {
	ctx, done := context.WithTimeout(ctx, saveTimeout+time.Duration(len(message.Body))*time.Microsecond) // a large result may travel at 1 MB/s
	defer done()
	failpoint.Hit("mapper.save.sending")
	reply, err := m.bus.Request(ctx, wire.VerbSave, message)
	if err != nil {
		return wire.SaveAnswer{}, err
	}
	failpoint.Hit("mapper.save.answered")
	return wire.DecodeSaveAnswer(reply)
}
