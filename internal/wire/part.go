package wire

import "math"

// The kinds of parts, and their headers. docs/protocol.md shows their sequence.
const (
	PartFirst    = "first"
	PartContinue = "continue"
	PartPut      = "put"
	PartHave     = "have"
	PartGet      = "get"
	PartPart     = "part"
	PartRelease  = "release"
	PartProbe    = "probe" // asks for the max_payload of the responder's server; the answer has the same kind

	keyPart       = "Chunkline-Part"
	keyPartID     = "Chunkline-Part-Id"
	keyPartAt     = "Chunkline-Part-At"     // where to send or fetch the other parts
	keyPartTotal  = "Chunkline-Part-Total"  // bytes of the whole body
	keyPartSize   = "Chunkline-Part-Size"   // bytes of each part except the first and the last
	keyPartSum    = "Chunkline-Part-Sum"    // CRC32C of the whole body
	keyPartOffset = "Chunkline-Part-Offset" // of this part within the whole body
)

// PartHead is the headers of a part.
type PartHead struct {
	Kind   string // one of the kinds above
	ID     string // of the transfer
	At     string // where to send or fetch the other parts
	Total  int    // bytes of the whole body
	Size   int    // bytes of each part except the first and the last
	Offset int    // of this part within the whole body
	Sum    uint32 // checksum of the whole body
}

// fields reads or writes the headers that a part of its kind has.
func (p *PartHead) fields(f *fields) {
	f.token(keyPart, &p.Kind, required)
	f.token(keyPartID, &p.ID, required)
	switch p.Kind {
	case PartFirst:
		total := uint64(max(p.Total, 0))
		f.uint(keyPartTotal, &total, 1<<62, required) // a body that is too large gets another answer than a malformed header
		p.Total = int(min(total, math.MaxInt))
		f.int(keyPartSize, &p.Size, MaxMessage, required)
		f.sum(keyPartSum, &p.Sum, required)
		f.token(keyPartAt, &p.At, optional) // in an answer
	case PartContinue:
		f.token(keyPartAt, &p.At, required)
	case PartPut, PartGet, PartPart, PartHave:
		f.int(keyPartOffset, &p.Offset, MaxMessage, required)
	case PartRelease, PartProbe:
	default:
		f.fail(keyPart, "no such kind of part: %.20q", p.Kind)
	}
}

// Header returns the part's headers, including the protocol version.
func (p PartHead) Header() Header {
	f := writing()
	p.fields(f)
	return f.header
}

// ReadPart returns the headers of a part. An empty Kind means that h is of a whole message.
func ReadPart(h Header) (PartHead, error) {
	var p PartHead
	if !IsPart(h) {
		return p, nil
	}
	f := &fields{header: h}
	p.fields(f)
	return p, f.err
}

// WithoutPart returns the headers of the whole message whose first part has h.
func WithoutPart(h Header) Header {
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

// IsPart reports whether h is of a part, not of a whole message.
func IsPart(h Header) bool {
	_, has := h[keyPart]
	return has
}
