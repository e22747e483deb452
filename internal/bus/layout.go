package bus

import (
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
)

// A message in parts:
//
//	requester                                    taker
//	   │ first (to the verb; a queue group picks)  │
//	   ├──────────────────────────────────────────▶│
//	   │◀── continue (at chunkline.<job>.part.<X>) ┤
//	   │ put, put, put … (to part.<X>)             │
//	   ├──────────────────────────────────────────▶│
//	   │◀── have, have, have …                     ┤
//	   │ the last put                              │
//	   ├──────────────────────────────────────────▶│ handled
//	   │◀── the answer, or its first part          ┤
//	   │ get, get, get … (to part.<X>)             │
//	   ├──────────────────────────────────────────▶│
//	   │◀── part, part, part …                     ┤
//	   │ release                                   │
//	   ├──────────────────────────────────────────▶│
//
// Either half may be missing: a small request can have a big answer. Each
// arrow is one message that may be lost, doubled or late.
const (
	verbPart = "part"
)

const (
	partSize     = 512 << 10        // most bytes in a part; less where max_payload asks for it
	minPartSize  = 256              // of parts that are accepted: bounds the bookkeeping
	partWindow   = 4                // parts under way at a time
	partPatience = 3 * time.Second  // before a part is sent again for the first time; then twice as long
	maxPatience  = 6 * time.Second  // so that a part is sent several times before the transfer is idle for partIdle
	partIdle     = 30 * time.Second // a transfer that no part has touched for so long is dropped
	maxHeld      = 256 << 20        // bytes in assembly, and bytes kept to be fetched
	bookkeeping  = 1 << 10          // bytes of a transfer beside body and headers: timer, maps, names

	partBookkeeping = 32 // bytes of each part beside its body
	maxWaiting      = 4  // answers to repeats of a last part
)

// layout is how a body is cut: a first part, then parts of size bytes, of
// which the last may be shorter.
type layout struct {
	total, first, size int
}

// newLayout checks what somebody else says.
func newLayout(total, first, size int) (layout, error) {
	l := layout{total: total, first: first, size: size}
	switch {
	case total > wire.MaxMessage:
		return l, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, total, wire.MaxMessage)
	case first >= total || size < minPartSize:
		return l, fmt.Errorf("%w: parts of %d bytes, the first %d, of %d in total", wire.ErrMalformed, size, first, total)
	}
	return l, nil
}

// parts is how many parts follow the first.
func (l layout) parts() int { return (l.total - l.first + l.size - 1) / l.size }

// part is where part i, counted from 0 after the first, begins and ends.
func (l layout) part(i int) (from, to int) {
	from = l.first + i*l.size
	return from, min(from+l.size, l.total)
}

// index is which part begins at offset; false if none does.
func (l layout) index(offset int) (int, bool) {
	if offset < l.first || offset >= l.total || (offset-l.first)%l.size != 0 {
		return 0, false
	}
	return (offset - l.first) / l.size, true
}

// cut lays m out for a server that takes limit bytes a message, and returns
// its first part. At is set in answers only.
func cut(m wire.Message, limit int, id, at string) (layout, wire.Message, error) {
	head := wire.PartHead{Kind: wire.PartFirst, ID: id, At: at, Total: len(m.Body), Size: partSize, Sum: wire.Checksum(m.Body)}
	if len(m.Body) > wire.MaxMessage {
		return layout{}, wire.Message{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(m.Body), wire.MaxMessage)
	}
	// The headers of further parts are shorter than this one's.
	head.Size = min(partSize, limit-head.Header().Size())
	header := m.Header.With(head.Header())
	first := min(partSize, limit-header.Size(), len(m.Body)-1)
	if head.Size < minPartSize || first < 0 {
		return layout{}, wire.Message{}, fmt.Errorf("%w: headers of %d bytes, the server takes %d in all", ErrTooLarge, header.Size(), limit)
	}
	return layout{total: len(m.Body), first: first, size: head.Size}, wire.Message{Header: header, Body: m.Body[:first:first]}, nil
}
