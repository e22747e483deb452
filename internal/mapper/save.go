package mapper

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// saveTimeout is how long a mapper waits for the saver's answer, beside the time that a
// large result takes to travel.
const saveTimeout = 10 * time.Second

// A parcel is an encoded result with the fields that are logged with it. It keeps no
// reference to the chunk, so the memory of the chunk's body is free.
type parcel struct {
	message wire.Message
	span    trace.Span
	chunk   chunk.ID
	attempt int
	epoch   uint64
}

// pack encodes a result that was mapped at the given time, and begins its save span.
func (m *Mapper) pack(s wire.Save, mapped time.Time) parcel {
	span, place := m.span(trace.Save, mapped, s.Chunk, s.Attempt, s.Trace)
	s.Trace = place
	p := parcel{message: s.Encode(), span: span, chunk: s.Chunk, attempt: s.Attempt, epoch: s.Epoch}
	if body := p.message.Body; cap(body) > len(body)+len(body)/4 { // outputs are allocated at the size of the objects, and may be much smaller
		p.message.Body = bytes.Clone(body)
	}
	return p
}

// cost is the memory that a parcel takes, in bytes.
func (p parcel) cost() int64 {
	return int64(p.message.Size() - len(p.message.Body) + cap(p.message.Body) + itemCost)
}

func (p parcel) log(e *zerolog.Event) *zerolog.Event {
	return e.Uint64("chunk", uint64(p.chunk)).Int("attempt", p.attempt).Uint64("epoch", p.epoch)
}

// save sends a result to the saver until the saver has saved or refused it, or ctx ends
// because the chunk was dropped. Sending a result again is safe: the saver keeps one.
func (m *Mapper) save(ctx context.Context, p parcel) {
	defer p.span.End()
	pause := m.backoff(uint64(p.chunk))
	for try := 1; ctx.Err() == nil; try++ {
		answer, err := m.trySave(ctx, p.message)
		noteRequest(m.outages.saver, err)
		p.span.Note(err)
		p.span.Text("outcome", string(answer.Status))
		switch {
		case err != nil && try == 1: // an outage of the saver is logged once, for all chunks
			p.log(m.log.Debug()).Err(err).Msg("result got no answer")
		case err != nil:
		case answer.Status == wire.SaveCommitted, answer.Status == wire.SaveDuplicate:
			m.metrics.saved(string(answer.Status))
			p.log(m.log.Debug()).Str("outcome", string(answer.Status)).Msg("chunk saved")
			return
		case answer.Status == wire.SaveRefused:
			m.metrics.saved(string(answer.Status))
			p.span.Fail(errors.New(answer.Reason))
			p.log(m.strange.Error()).Str("reason", answer.Reason).Msg("saver refused a result")
			return
		}
		sleep(ctx, pause.next(), nil)
	}
	p.span.Fail(context.Cause(ctx))
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
