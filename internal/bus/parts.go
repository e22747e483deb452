package bus

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/wire"
)

// A message that is larger than max_payload travels in parts. The requester drives both halves: it sends the parts of a
// request, and fetches those of an answer. docs/protocol.md shows the sequence.
//
// Either half may be missing: a small request can have a large answer. Each part may be lost, repeated or late. Parts
// are repeated until they are answered, and the receiver accepts a body only if its checksum is right.
const verbPart = "part"

// A window of 4 parts of 512 KiB keeps 2 MiB of a transfer under way. That fills
// 1 Gbit/s up to a round trip of 16 ms, and is far below all pending limits. All answers
// that a process fetches at a time share one window: with one for each of many, a slow link
// would take longer for a part than partPatience, and carry copies of parts instead.
const (
	partSize     = 512 << 10        // most bytes in a part; less if max_payload demands it
	minPartSize  = 256              // smallest accepted part; bounds the bookkeeping
	partWindow   = 4                // parts under way at a time
	partPatience = 3 * time.Second  // before a part is first sent again; doubled each time
	maxPatience  = 6 * time.Second  // so that a part is sent several times within partIdle
	partIdle     = 30 * time.Second // a transfer without a part for this long is dropped
	maxHeld      = 256 << 20        // default bound for requests in assembly, and for answers to be fetched
	bookkeeping  = 1 << 10          // bytes of a transfer besides body and headers: timer, maps, names

	partBookkeeping = 32 // bytes of each part besides its body
	maxWaiting      = 4  // repeats of a last part that get the answer
)

// layout is how a body is cut: a first part, then parts of size bytes, of which the last may be shorter.
type layout struct {
	total, first, size int
}

// newLayout returns the layout that the other side has announced, if it is valid.
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

// parts returns how many parts follow the first.
func (l layout) parts() int { return (l.total - l.first + l.size - 1) / l.size }

// part returns where part i, counted from 0 after the first, begins and ends.
func (l layout) part(i int) (from, to int) {
	from = l.first + i*l.size
	return from, min(from+l.size, l.total)
}

// index returns the index of the part that begins at offset, and false if none does.
func (l layout) index(offset int) (int, bool) {
	if offset < l.first || offset >= l.total || (offset-l.first)%l.size != 0 {
		return 0, false
	}
	return (offset - l.first) / l.size, true
}

// cut cuts m for a server with a max_payload of limit bytes and returns its first part. at is the subject at which the
// requester fetches the other parts of an answer; it is empty for requests.
func cut(m wire.Message, limit int, id, at string) (layout, wire.Message, error) {
	if len(m.Body) > wire.MaxMessage {
		return layout{}, wire.Message{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(m.Body), wire.MaxMessage)
	}
	head := wire.PartHead{Kind: wire.PartFirst, ID: id, At: at, Total: len(m.Body), Size: partSize, Sum: wire.Checksum(m.Body)}
	// The headers of further parts are shorter than this one's.
	head.Size = min(partSize, limit-head.Header().Size())
	header := m.Header.With(head.Header())
	first := min(partSize, limit-header.Size(), len(m.Body)-1)
	if head.Size < minPartSize || first < 0 {
		return layout{}, wire.Message{}, fmt.Errorf("%w: headers of %d bytes, max_payload is %d", ErrTooLarge, header.Size(), limit)
	}
	return layout{total: len(m.Body), first: first, size: head.Size}, wire.Message{Header: header, Body: m.Body[:first:first]}, nil
}

// sendParts sends a request that is too large for one message of limit bytes.
func (b *Bus) sendParts(ctx context.Context, subject string, m wire.Message, limit int) (wire.Message, error) {
	id := rand.Text()
	l, first, err := cut(m, limit, id, "")
	if err != nil {
		return wire.Message{}, err
	}
	answer, err := b.untilAnswered(ctx, subject, first)
	if err != nil {
		return wire.Message{}, err
	}
	head, err := wire.ReadPart(answer.Header)
	switch {
	case err != nil:
		return wire.Message{}, err
	case head.Kind != wire.PartContinue:
		return answer, nil // the responder needed no more than the headers
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
		return b.untilAnswered(ctx, at, wire.Message{Header: header, Body: m.Body[from:to:to]})
	}
	last := l.parts() - 1
	err = inParallel(ctx, last, func(ctx context.Context, i int) error {
		_, err := put(ctx, i)
		return err
	})
	if err != nil {
		return wire.Message{}, err
	}
	return put(ctx, last)
}

// fetchParts completes an answer if only its first part has arrived. It returns any
// other answer unchanged. A part that does not arrive within partIdle ends it, because the
// taker drops the transfer then.
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
	err = inParallel(ctx, l.parts(), func(ctx context.Context, i int) error {
		select {
		case b.window <- struct{}{}:
			defer func() { <-b.window }()
		case <-ctx.Done():
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(ctx, partIdle)
		defer cancel()
		from, to := l.part(i)
		part, err := b.untilAnswered(ctx, at, wire.Message{Header: wire.PartHead{Kind: wire.PartGet, ID: head.ID, Offset: from}.Header()})
		if err != nil {
			return err
		}
		got, err := wire.ReadPart(part.Header)
		if err != nil {
			return err
		}
		if got.Kind != wire.PartPart || got.ID != head.ID || got.Offset != from || len(part.Body) != to-from {
			return fmt.Errorf("%w: not the requested part", wire.ErrMalformed)
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

// untilAnswered repeats a part until it is answered, fails or ctx ends. Repeated parts do no harm.
func (b *Bus) untilAnswered(ctx context.Context, subject string, m wire.Message) (wire.Message, error) {
	for patience := partPatience; ; patience = min(2*patience, maxPatience) {
		try, cancel := context.WithTimeout(ctx, patience)
		answer, err := b.exchange(try, subject, m)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return answer, err
		}
	}
}

// release tells the responder that a transfer is over, so that it frees the memory. If this message is lost, the
// transfer times out.
func (b *Bus) release(at, id string) {
	_ = b.t.Publish(at, wire.Message{Header: wire.PartHead{Kind: wire.PartRelease, ID: id}.Header()})
}

// inParallel calls do for 0 to n-1, partWindow calls at a time, and returns once all calls have returned. The first
// error cancels the context of the other calls and is returned.
func inParallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	calls, calling := errgroup.WithContext(ctx)
	calls.SetLimit(partWindow)
	for i := 0; i < n && calling.Err() == nil; i++ {
		calls.Go(func() error { return do(calling, i) })
	}
	return cmp.Or(calls.Wait(), ctx.Err())
}
