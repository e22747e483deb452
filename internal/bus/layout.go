package bus

import (
	"fmt"
	"math"
	"time"
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
	partFirst    = "first"
	partContinue = "continue"
	partPut      = "put"
	partHave     = "have"
	partGet      = "get"
	partPart     = "part"
	partRelease  = "release"
	partProbe    = "probe" // asks the taker what its server takes, and is answered with the same

	keyPart       = "Chunkline-Part"
	keyPartID     = "Chunkline-Part-Id"
	keyPartAt     = "Chunkline-Part-At"     // where to send the others, or fetch them: the X above
	keyPartTotal  = "Chunkline-Part-Total"  // bytes of the whole body
	keyPartSize   = "Chunkline-Part-Size"   // bytes of each part but the first and the last
	keyPartSum    = "Chunkline-Part-Sum"    // CRC32C of the whole body
	keyPartOffset = "Chunkline-Part-Offset" // of this part within the whole body

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

// partHead is the headers of a part.
type partHead struct {
	kind   string
	id     string
	at     string
	total  int
	size   int
	offset int
	sum    uint32
}

// fields reads or writes the headers that a part of its kind has.
func (p *partHead) fields(f *fields) {
	f.token(keyPart, &p.kind, required)
	f.token(keyPartID, &p.id, required)
	switch p.kind {
	case partFirst:
		total := uint64(max(p.total, 0))
		f.uint(keyPartTotal, &total, 1<<62, required) // too large is another answer than malformed
		p.total = int(min(total, math.MaxInt))
		f.int(keyPartSize, &p.size, MaxMessage, required)
		f.sum(keyPartSum, &p.sum, required)
		f.token(keyPartAt, &p.at, optional) // of an answer
	case partContinue:
		f.token(keyPartAt, &p.at, required)
	case partPut, partGet, partPart, partHave:
		f.int(keyPartOffset, &p.offset, MaxMessage, required)
	case partRelease, partProbe:
	default:
		f.fail(keyPart, "no such kind of part: %.20q", p.kind)
	}
}

// header returns the part's headers, with the protocol's.
func (p partHead) header() Header {
	f := writing()
	p.fields(f)
	return f.header
}

// readPart returns the headers of a part. An empty kind: h is of a whole message.
func readPart(h Header) (partHead, error) {
	var p partHead
	if _, has := h[keyPart]; !has {
		return p, nil
	}
	f := reading(h)
	p.fields(f)
	return p, f.err
}

// withoutPart returns the headers of the whole message that h began.
func withoutPart(h Header) Header {
	whole := make(Header, len(h))
	for key, value := range h {
		switch key {
		case keyPart, keyPartID, keyPartAt, keyPartTotal, keyPartSize, keyPartSum, keyPartOffset:
		default:
			whole[key] = value
		}
	}
	return whole
}

// layout is how a body is cut: a first part, then parts of size bytes, of
// which the last may be shorter.
type layout struct {
	total, first, size int
}

// newLayout checks what somebody else says.
func newLayout(total, first, size int) (layout, error) {
	l := layout{total: total, first: first, size: size}
	switch {
	case total > MaxMessage:
		return l, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, total, MaxMessage)
	case first >= total || size < minPartSize:
		return l, fmt.Errorf("%w: parts of %d bytes, the first %d, of %d in total", ErrMalformed, size, first, total)
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
func cut(m Message, limit int, id, at string) (layout, Message, error) {
	head := partHead{kind: partFirst, id: id, at: at, total: len(m.Body), size: partSize, sum: checksum(m.Body)}
	if len(m.Body) > MaxMessage {
		return layout{}, Message{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(m.Body), MaxMessage)
	}
	// The headers of further parts are shorter than this one's.
	head.size = min(partSize, limit-head.header().size())
	header := m.Header.with(head.header())
	first := min(partSize, limit-header.size(), len(m.Body)-1)
	if head.size < minPartSize || first < 0 {
		return layout{}, Message{}, fmt.Errorf("%w: headers of %d bytes, the server takes %d in all", ErrTooLarge, header.size(), limit)
	}
	return layout{total: len(m.Body), first: first, size: head.size}, Message{Header: header, Body: m.Body[:first:first]}, nil
}
