package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/wire"
)

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
	if !b.receiving.take(l.total) {
		return wire.Message{}, fmt.Errorf("%w: answer of %d bytes", ErrBusy, l.total)
	}
	defer b.receiving.give(l.total)
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
