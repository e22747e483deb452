package mapper

import (
	"bytes"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// A parcel is a result as it is sent, and what the log says of it. It keeps
// nothing of the chunk that it was made from.
type parcel struct {
	message wire.Message
	span    trace.Span
	chunk   chunk.ID
	attempt int
	epoch   uint64
}

// pack makes a result ready to be sent.
func (m *Mapper) pack(s wire.Save, mapped time.Time) parcel {
	span, place := m.span(trace.Save, mapped, s.Chunk, s.Attempt, s.Trace)
	s.Trace = place
	p := parcel{message: s.Encode(), span: span, chunk: s.Chunk, attempt: s.Attempt, epoch: s.Epoch}
	if body := p.message.Body; cap(body) > len(body)+len(body)/4 { // it was made with room for as much as the objects
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
