package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// sendParts sends a request that is too large for one message of limit bytes.
func (b *Bus) sendParts(ctx context.Context, subject string, m Message, limit int) (Message, error) {
	id := newID()
	l, first, err := cut(m, limit, id, "")
	if err != nil {
		return Message{}, err
	}
	answer, err := b.insist(ctx, subject, first)
	if err != nil {
		return Message{}, err
	}
	head, err := readPart(answer.Header)
	switch {
	case err != nil:
		return Message{}, err
	case head.kind != partContinue:
		return answer, nil // the taker can tell from the headers what to say
	case head.id != id:
		return Message{}, fmt.Errorf("%w: answer to another transfer", ErrMalformed)
	}
	at, err := b.subject(verbPart + "." + head.at)
	if err != nil {
		return Message{}, err
	}
	defer b.release(at, id)
	put := func(ctx context.Context, i int) (Message, error) {
		from, to := l.part(i)
		header := partHead{kind: partPut, id: id, offset: from}.header()
		return b.insist(ctx, at, Message{Header: header, Body: m.Body[from:to:to]})
	}
	last := l.parts() - 1
	err = inParallel(ctx, last, partWindow, func(ctx context.Context, i int) error {
		_, err := put(ctx, i)
		return err
	})
	if err != nil {
		return Message{}, err
	}
	return put(ctx, last)
}

// fetchParts completes an answer of which only the first part has come. Any
// other answer it returns as it is.
func (b *Bus) fetchParts(ctx context.Context, answer Message) (Message, error) {
	head, err := readPart(answer.Header)
	if err != nil || head.kind == "" {
		return answer, err
	}
	if head.kind != partFirst || head.at == "" {
		return Message{}, fmt.Errorf("%w: %s is not an answer", ErrMalformed, head.kind)
	}
	at, err := b.subject(verbPart + "." + head.at)
	if err != nil {
		return Message{}, err
	}
	defer b.release(at, head.id)
	l, err := newLayout(head.total, len(answer.Body), head.size)
	if err != nil {
		return Message{}, err
	}
	if !b.receiving.take(l.total) {
		return Message{}, fmt.Errorf("%w: answer of %d bytes", ErrBusy, l.total)
	}
	defer b.receiving.give(l.total)
	body := make([]byte, l.total)
	copy(body, answer.Body)
	err = inParallel(ctx, l.parts(), partWindow, func(ctx context.Context, i int) error {
		from, to := l.part(i)
		part, err := b.insist(ctx, at, Message{Header: partHead{kind: partGet, id: head.id, offset: from}.header()})
		if err != nil {
			return err
		}
		got, err := readPart(part.Header)
		if err != nil {
			return err
		}
		if got.kind != partPart || got.id != head.id || got.offset != from || len(part.Body) != to-from {
			return fmt.Errorf("%w: not the part that was asked for", ErrMalformed)
		}
		copy(body[from:to], part.Body)
		return nil
	})
	if err != nil {
		return Message{}, err
	}
	if checksum(body) != head.sum {
		return Message{}, fmt.Errorf("%w: checksum of %d bytes in parts is wrong", ErrCorrupt, l.total)
	}
	return Message{Header: withoutPart(answer.Header), Body: body}, nil
}

// insist sends a part until it is answered, fails or ctx ends. Parts may be
// doubled, so one that may be lost is simply sent again.
func (b *Bus) insist(ctx context.Context, subject string, m Message) (Message, error) {
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
	_ = b.t.Publish(at, Message{Header: partHead{kind: partRelease, id: id}.header()})
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
