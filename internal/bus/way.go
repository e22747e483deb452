package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
)

// Between the servers of two roles there may be a third, as a hub between two
// leaf nodes, that takes less than both. It hangs up on the server that sends it
// more, and the message is lost. Nobody is told, so a requester finds out: it
// sends probes, which the taker sends back as they came, and halves their size
// until one is answered.
const (
	// wayPatience is how long a large probe may be later than a small one that
	// was sent after it.
	wayPatience = 250 * time.Millisecond

	// wayTries is how often a size is tried: another role's probe may have made
	// the server hang up.
	wayTries = 2

	// waySlack is by how much messages stay below the probe that passed: its
	// answer is as much smaller.
	waySlack = 512
)

// probe asks the taker what its server takes. It has size bytes, if it is not
// small anyway.
func (b *Bus) probe(size int) wire.Message {
	m := b.tellLimit(wire.Message{Header: wire.PartHead{Kind: wire.PartProbe, ID: newID()}.Header()})
	m.Body = make([]byte, max(0, size-m.Size()))
	return m
}

// answerProbe is what the taker sends back.
func (b *Bus) answerProbe(head wire.PartHead, probe wire.Message) wire.Message {
	m := b.tellLimit(wire.Message{Header: head.Header()})
	m.Body = probe.Body[:min(len(probe.Body), max(0, probe.Size()-m.Size()))]
	return m
}

// measure finds out how large a message may be to pass all servers on the way to
// those who serve verb, and back. One request does it at a time, and the others
// wait. What is known when ctx ends is kept.
func (b *Bus) measure(ctx context.Context, verb, subject string, own int) (route, error) {
	select {
	case b.routes.measure <- struct{}{}:
		defer func() { <-b.routes.measure }()
	case <-ctx.Done():
		return route{}, fmt.Errorf("wait for what passes the servers on the way: %w", ctx.Err())
	}
	r := b.routes.to(verb, own)
	if r.losses == 0 { // another request has done it
		return r, nil
	}
	size := min(r.most(own), defaultMaxPayload) // a larger probe is too dear
	for try := 1; size > modest; try++ {
		passed, err := b.passes(ctx, subject, size)
		switch {
		case err != nil:
			return route{}, fmt.Errorf("find out what passes the servers on the way: %w", err)
		case passed && size == r.ends(own): // the requests were lost for another reason
			return b.routes.found(verb, own, 0), nil
		case passed:
			return b.routes.found(verb, own, max(size-waySlack, modest)), nil
		case try%wayTries == 0:
			size = max(size/2, modest)
			b.routes.change(verb, func(r *route) { r.way = size })
		}
	}
	return b.routes.found(verb, own, modest), nil
}

// found notes that messages of way bytes pass; 0: all that the ends take.
func (r *routes) found(verb string, own, way int) route {
	return r.change(verb, func(known *route) {
		known.losses, known.way = 0, way
		if way == 0 {
			return
		}
		r.lower(way)
		if !r.named {
			r.named = true
			r.log.Warn().Str("verb", verb).Int("max_payload", way).Int("own_max_payload", own).
				Msg("a NATS server on the way takes smaller messages than those at its ends: larger ones go in parts; give all the same max_payload")
		}
	})
}

// passes says whether a probe of so many bytes is answered. One that is not, while
// a small one sent after it is, was lost.
func (b *Bus) passes(ctx context.Context, subject string, size int) (bool, error) {
	var sending sync.WaitGroup
	defer sending.Wait()
	trying, stop := context.WithCancel(ctx)
	defer stop()
	answered := make(chan struct{})
	sending.Go(func() {
		if _, err := b.exchange(trying, subject, b.probe(size)); err == nil || errors.Is(err, ErrService) {
			close(answered)
		}
	})
	wait := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-answered:
			return true
		case <-timer.C:
		case <-ctx.Done():
		}
		return false
	}
	for patience := wayPatience; ctx.Err() == nil; patience = min(2*patience, partPatience) {
		if wait(wayPatience) {
			return true, nil
		}
		try, cancel := context.WithTimeout(ctx, patience)
		_, err := b.exchange(try, subject, b.probe(0))
		cancel()
		if err == nil || errors.Is(err, ErrService) {
			return wait(wayPatience), ctx.Err()
		}
	}
	return false, ctx.Err()
}
