package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/wire"
)

// Each NATS server on the way of a message has a max_payload. Our own server sends us its limit, and every message
// carries it to the other side. A server in between, such as a hub of two leaf nodes, may have a smaller limit, which
// it does not announce. So when requests have been lost, measure finds that limit by probing.

// keyMaxPayload is the header with the max_payload of the sender's server, in bytes. It is omitted if the limit is
// NATS's default. Its name does not begin with Chunkline-, so signatures do not cover it: it describes the connection,
// not the message.
const keyMaxPayload = "Max-Payload"

// leastPayload is the smallest max_payload with which chunkline works: the headers of a result may need that much.
const leastPayload = 4 << 10

// withLimit adds the max_payload of our server to m.
func (b *Bus) withLimit(m wire.Message) wire.Message { return addLimit(m, b.t.MaxPayload()) }

// addLimit adds limit, the largest size of the answer, to m.
func addLimit(m wire.Message, limit int) wire.Message {
	if limit != defaultMaxPayload {
		m.Header = m.Header.With(wire.Header{keyMaxPayload: strconv.Itoa(limit)})
	}
	return m
}

// limitOf returns the max_payload in the header of a message.
func limitOf(h wire.Header) int {
	text, has := h[keyMaxPayload]
	if !has {
		return defaultMaxPayload
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < leastPayload { // smaller parts would let a client cause any amount of work
		return leastPayload
	}
	return limit
}

// routes remembers for each verb how large a message may be. A server that receives a larger one from another server,
// as a hub does from a leaf node, closes that connection: the message and all others on their way are lost.
type routes struct {
	log     zerolog.Logger
	measure chan struct{} // a token: one request measures at a time

	mu          sync.Mutex
	known       map[string]route // guarded by mu
	least       int              // guarded by mu; the smallest known limit; 0: none is known
	loggedLimit int              // guarded by mu; the other side's limit that was logged last
	loggedWay   bool             // guarded by mu; a smaller limit of a server on the way was logged
}

// A route holds what is known about the way to the responders of a verb.
type route struct {
	limit int // max_payload of their server; 0: not known
	way   int // largest message that passed all servers on the way; 0: only the servers at the ends limit it

	// losses counts requests in a row without an answer. The responder has answered a probe before each of them but the
	// first, so it is running.
	losses int
}

// ends returns the smaller max_payload of the servers at both ends.
func (r route) ends(own int) int {
	if r.limit > 0 {
		return min(own, r.limit)
	}
	return own
}

// most returns the size of the largest message that passes, as far as is known.
func (r route) most(own int) int {
	if r.way > 0 {
		return min(r.ends(own), r.way)
	}
	return r.ends(own)
}

// limitTo returns the largest size of a message for verb and of its answer, and how many requests in a row were lost
// before. After one loss it asks the responder for its limit, because the responder may be connected to another server
// by now. If the responder answers but requests still get lost, limitTo measures how large a message passes.
func (b *Bus) limitTo(ctx context.Context, verb, subject string) (limit, losses int, err error) {
	own := b.t.MaxPayload()
	r := b.routes.to(verb, own)
	if r.losses == 0 {
		return r.most(own), 0, nil
	}
	answer, err := b.untilAnswered(ctx, subject, b.probe(0))
	if err != nil && !errors.Is(err, ErrService) { // a responder that does not know probes answers with an error
		return 0, 0, fmt.Errorf("ask for max_payload: %w", err)
	}
	known := err == nil
	r = b.routes.noteLimit(verb, own, answer)
	if r.losses > 1 && known {
		if r, err = b.measure(ctx, verb, subject, own); err != nil {
			return 0, 0, err
		}
	}
	return r.most(own), r.losses, nil
}

// to returns the route to verb. If it is not known, the route has the smallest limit of other verbs.
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

// noteLimit stores the limit in the responder's answer.
func (r *routes) noteLimit(verb string, own int, answer wire.Message) route {
	return r.change(verb, func(known *route) {
		known.limit = limitOf(answer.Header)
		r.lower(known.limit)
		if known.limit < own && known.limit != r.loggedLimit {
			r.loggedLimit = known.limit
			r.log.Warn().Str("verb", verb).Int("max_payload", known.limit).Int("own_max_payload", own).
				Msg("the other side's NATS server has a smaller max_payload than ours: larger messages travel in parts; give both the same max_payload")
		}
	})
}

// note records the outcome of a request of size bytes that followed losses lost ones. It ignores the verbs of single
// instances (mapper.<id>): there are many, and their messages are small.
func (r *routes) note(verb string, own, size, losses int, answer wire.Message, err error) {
	switch {
	case strings.Contains(verb, "."):
	case err == nil:
		r.noteLimit(verb, own, answer)
		r.change(verb, func(known *route) { known.losses = 0 })
	case errors.Is(err, context.DeadlineExceeded):
		r.change(verb, func(known *route) { known.losses = max(known.losses, losses+1) })
	case size > leastPayload && (errors.Is(err, ErrOffline) || errors.Is(err, ErrNobody)):
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

// lower notes a limit of some verb. The caller holds mu.
func (r *routes) lower(limit int) {
	if r.least == 0 || limit < r.least {
		r.least = limit
	}
}

// Measuring: the requester sends probes, which the responder sends back, and halves their size until one is answered.
const (
	// wayPatience is how long a large probe may stay unanswered after a small probe that was sent later is answered.
	wayPatience = 250 * time.Millisecond

	// wayTries is how often a size is tried. One loss may be due to a probe of another role, because of which the
	// server closed the connection.
	wayTries = 2

	// waySlack is the difference between a probe that passed and the limit that follows from it: the answer to a probe
	// may be that much smaller than the probe.
	waySlack = 512
)

// probe asks the responder for the max_payload of its server. It is padded to size bytes, if its headers are smaller.
func (b *Bus) probe(size int) wire.Message {
	m := b.withLimit(wire.Message{Header: wire.PartHead{Kind: wire.PartProbe, ID: rand.Text()}.Header()})
	m.Body = make([]byte, max(0, size-m.Size()))
	return m
}

// answerProbe returns the responder's answer to a probe: our limit, padded to the size of the probe.
func (b *Bus) answerProbe(head wire.PartHead, probe wire.Message) wire.Message {
	m := b.withLimit(wire.Message{Header: head.Header()})
	m.Body = probe.Body[:min(len(probe.Body), max(0, probe.Size()-m.Size()))]
	return m
}

// measure finds the size of the largest message that passes all servers on the way to the responders of verb and back.
// One request measures at a time; the others wait for it. If ctx ends, measure keeps its findings so far.
func (b *Bus) measure(ctx context.Context, verb, subject string, own int) (route, error) {
	select {
	case b.routes.measure <- struct{}{}:
		defer func() { <-b.routes.measure }()
	case <-ctx.Done():
		return route{}, fmt.Errorf("wait for the max_payload on the way: %w", ctx.Err())
	}
	r := b.routes.to(verb, own)
	if r.losses == 0 { // another request has measured
		return r, nil
	}
	size := min(r.most(own), defaultMaxPayload) // larger probes cost too much
	for try := 1; size > leastPayload; try++ {
		passed, err := b.passes(ctx, subject, size)
		switch {
		case err != nil:
			return route{}, fmt.Errorf("measure the max_payload on the way: %w", err)
		case passed && size == r.ends(own): // the requests were lost for another reason
			return b.routes.found(verb, own, 0), nil
		case passed:
			return b.routes.found(verb, own, max(size-waySlack, leastPayload)), nil
		case try%wayTries == 0:
			size = max(size/2, leastPayload)
			b.routes.change(verb, func(r *route) { r.way = size })
		}
	}
	return b.routes.found(verb, own, leastPayload), nil
}

// found records that messages of way bytes pass. If way is 0, only the servers at the ends limit them.
func (r *routes) found(verb string, own, way int) route {
	return r.change(verb, func(known *route) {
		known.losses, known.way = 0, way
		if way == 0 {
			return
		}
		r.lower(way)
		if !r.loggedWay {
			r.loggedWay = true
			r.log.Warn().Str("verb", verb).Int("max_payload", way).Int("own_max_payload", own).
				Msg("a NATS server on the way has a smaller max_payload than those at its ends: larger messages travel in parts; give all the same max_payload")
		}
	})
}

// passes reports whether a probe of size bytes is answered. The probe counts as lost if a small one that is sent after
// it is answered, and it is still unanswered soon after.
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
