package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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

// sendParts sends a request that is too large for one message of limit bytes.
func (b *Bus) sendParts(ctx context.Context, subject string, m wire.Message, limit int) (wire.Message, error) {
	id := newID()
	l, first, err := cut(m, limit, id, "")
	if err != nil {
		return wire.Message{}, err
	}
	answer, err := b.insist(ctx, subject, first)
	if err != nil {
		return wire.Message{}, err
	}
	head, err := wire.ReadPart(answer.Header)
	switch {
	case err != nil:
		return wire.Message{}, err
	case head.Kind != wire.PartContinue:
		return answer, nil // the taker can tell from the headers what to say
	case head.ID != id:
		return wire.Message{}, fmt.Errorf("%w: answer to another transfer", wire.ErrMalformed)
	}
	at, err := b.subject(verbPart + "." + head.At)
	if err != nil {
		return wire.Message{}, err
	}
	defer b.release(at, id)
	put := func(ctx context.Context, i int) (wire.Message, error) {
		from, to := l.part(i)
		header := wire.PartHead{Kind: wire.PartPut, ID: id, Offset: from}.Header()
		return b.insist(ctx, at, wire.Message{Header: header, Body: m.Body[from:to:to]})
	}
	last := l.parts() - 1
	err = inParallel(ctx, last, partWindow, func(ctx context.Context, i int) error {
		_, err := put(ctx, i)
		return err
	})
	if err != nil {
		return wire.Message{}, err
	}
	return put(ctx, last)
}

// fetchParts completes an answer of which only the first part has come. Any
// other answer it returns as it is.
func (b *Bus) fetchParts(ctx context.Context, answer wire.Message) (wire.Message, error) {
	head, err := wire.ReadPart(answer.Header)
	if err != nil || head.Kind == "" {
		return answer, err
	}
	if head.Kind != wire.PartFirst || head.At == "" {
		return wire.Message{}, fmt.Errorf("%w: %s is not an answer", wire.ErrMalformed, head.Kind)
	}
	at, err := b.subject(verbPart + "." + head.At)
	if err != nil {
		return wire.Message{}, err
	}
	defer b.release(at, head.ID)
	l, err := newLayout(head.Total, len(answer.Body), head.Size)
	if err != nil {
		return wire.Message{}, err
	}
	if !b.receiving.reserve(l.total) {
		return wire.Message{}, fmt.Errorf("%w: answer of %d bytes", ErrBusy, l.total)
	}
	defer b.receiving.release(l.total)
	body := make([]byte, l.total)
	copy(body, answer.Body)
	err = inParallel(ctx, l.parts(), partWindow, func(ctx context.Context, i int) error {
		from, to := l.part(i)
		part, err := b.insist(ctx, at, wire.Message{Header: wire.PartHead{Kind: wire.PartGet, ID: head.ID, Offset: from}.Header()})
		if err != nil {
			return err
		}
		got, err := wire.ReadPart(part.Header)
		if err != nil {
			return err
		}
		if got.Kind != wire.PartPart || got.ID != head.ID || got.Offset != from || len(part.Body) != to-from {
			return fmt.Errorf("%w: not the part that was asked for", wire.ErrMalformed)
		}
		copy(body[from:to], part.Body)
		return nil
	})
	if err != nil {
		return wire.Message{}, err
	}
	if wire.Checksum(body) != head.Sum {
		return wire.Message{}, fmt.Errorf("%w: checksum of %d bytes in parts is wrong", wire.ErrCorrupt, l.total)
	}
	return wire.Message{Header: wire.WithoutPart(answer.Header), Body: body}, nil
}

// insist sends a part until it is answered, fails or ctx ends. Parts may be
// doubled, so one that may be lost is simply sent again.
func (b *Bus) insist(ctx context.Context, subject string, m wire.Message) (wire.Message, error) {
	for patience := partPatience; ; patience = min(2*patience, maxPatience) {
		try, cancel := context.WithTimeout(ctx, patience)
		answer, err := b.exchange(try, subject, m)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return answer, err
		}
	}
}

// release tells the taker that a transfer is over, however it ended. If this
// gets lost the taker finds out by itself.
func (b *Bus) release(at, id string) {
	_ = b.t.Publish(at, wire.Message{Header: wire.PartHead{Kind: wire.PartRelease, ID: id}.Header()})
}

// inParallel calls do for 0 to n-1, width of them at a time, and returns the
// first error, upon which it ends the context of the others. It returns when
// all calls have.
func inParallel(ctx context.Context, n, width int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var calls sync.WaitGroup
	for range min(n, width) {
		calls.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	calls.Wait()
	return context.Cause(ctx)
}
