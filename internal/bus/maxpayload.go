package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/wire"
)

// keyMaxPayload is the max_payload of the sender's server, in bytes, if that is not
// NATS's own. It is no header of a message's content, so that no signature
// counts it.
const keyMaxPayload = "Max-Payload"

// Messages of at most modest bytes pass any server that is of use here: the
// headers of a result need no less.
const modest = 4 << 10

// tellLimit adds to m what the server of this bus takes.
func (b *Bus) tellLimit(m wire.Message) wire.Message { return tell(m, b.t.MaxPayload()) }

// tell adds to m how large an answer may be.
func tell(m wire.Message, limit int) wire.Message {
	if limit != defaultMaxPayload {
		m.Header = m.Header.With(wire.Header{keyMaxPayload: strconv.Itoa(limit)})
	}
	return m
}

// limitOf is what the server of a message's sender takes, as it says.
func limitOf(h wire.Header) int {
	text, has := h[keyMaxPayload]
	if !has {
		return defaultMaxPayload
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < modest { // in parts of less, others could make us do any amount of work
		return modest
	}
	return limit
}

// routes is what the servers of those who answer take, by verb. Between two
// servers, as a hub and a leaf node, there is a link that breaks at a larger
// message: it is lost, and all that is on its way.
type routes struct {
	log     zerolog.Logger
	measure chan struct{} // holds one while somebody measures

	mu    sync.Mutex
	known map[string]route // guarded by mu
	least int              // guarded by mu; of all that are known; 0: none
	said  int              // guarded by mu; the limit of another server
	named bool             // guarded by mu; that a server on the way takes less
}

// A route is what is known of the way to those who serve a verb.
type route struct {
	limit int // what their server takes; 0: not known
	way   int // what was found to pass all servers on the way; 0: no less than the ends take

	// losses counts requests in a row that got no answer. Before each but the
	// first the taker has answered a probe.
	losses int
}

// ends is the size of the largest message that the servers of both ends take.
func (r route) ends(own int) int {
	if r.limit > 0 {
		return min(own, r.limit)
	}
	return own
}

// most is the size of the largest message that passes, as far as is known.
func (r route) most(own int) int {
	if r.way > 0 {
		return min(r.ends(own), r.way)
	}
	return r.ends(own)
}

// limitTo returns how large a message for verb, and its answer, may be, and how
// many requests before it were lost. When the last one was, the taker is asked
// first: it may have another server by now. When it answers that and not the
// request, what passes is measured.
func (b *Bus) limitTo(ctx context.Context, verb, subject string) (limit, losses int, err error) {
	own := b.t.MaxPayload()
	r := b.routes.to(verb, own)
	if r.losses == 0 {
		return r.most(own), 0, nil
	}
	answer, err := b.insist(ctx, subject, b.probe(0))
	if err != nil && !errors.Is(err, ErrService) { // a program that knows no probe answers with an error
		return 0, 0, fmt.Errorf("ask what its server takes: %w", err)
	}
	known := err == nil
	r = b.routes.told(verb, own, answer)
	if r.losses > 1 && known {
		if r, err = b.measure(ctx, verb, subject, own); err != nil {
			return 0, 0, err
		}
	}
	return r.most(own), r.losses, nil
}

// to is what is known of verb; if nothing is, the least of what is known of others.
func (r *routes) to(verb string, own int) route {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, has := r.known[verb]; has {
		return known
	}
	if r.least > 0 {
		return route{limit: r.least}
	}
	return route{limit: own}
}

// told notes what the taker has told of its server.
func (r *routes) told(verb string, own int, answer wire.Message) route {
	return r.change(verb, func(known *route) {
		known.limit = limitOf(answer.Header)
		r.lower(known.limit)
		if known.limit < own && known.limit != r.said {
			r.said = known.limit
			r.log.Warn().Str("verb", verb).Int("max_payload", known.limit).Int("own_max_payload", own).
				Msg("the NATS server of the other side takes smaller messages than ours: larger ones go in parts; give both the same max_payload")
		}
	})
}

// note notes how a request of size bytes went, before which so many were lost.
// Verbs of one instance (mapper.<id>) are many, and get small messages only.
func (r *routes) note(verb string, own, size, losses int, answer wire.Message, err error) {
	switch {
	case strings.Contains(verb, "."):
	case err == nil:
		r.told(verb, own, answer)
		r.change(verb, func(known *route) { known.losses = 0 })
	case errors.Is(err, context.DeadlineExceeded):
		r.change(verb, func(known *route) { known.losses = max(known.losses, losses+1) })
	case size > modest && (errors.Is(err, ErrOffline) || errors.Is(err, ErrNobody)):
		r.change(verb, func(known *route) { known.losses = max(known.losses, 1) })
	}
}

func (r *routes) change(verb string, do func(*route)) route {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[verb]
	do(&known)
	if r.known == nil {
		r.known = map[string]route{}
	}
	r.known[verb] = known
	return known
}

// lower notes that some verb takes no more than limit. The caller holds mu.
func (r *routes) lower(limit int) {
	if r.least == 0 || limit < r.least {
		r.least = limit
	}
}

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
