package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

// keyMaxPayload is the max_payload of the sender's server, in bytes, if that is not
// NATS's own. It is no header of a message's content, so that no signature
// counts it.
const keyMaxPayload = "Max-Payload"

// Messages of at most modest bytes pass any server that is of use here: the
// headers of a result need no less.
const modest = 4 << 10

// tellLimit adds to m what the server of this bus takes.
func (b *Bus) tellLimit(m Message) Message {
	if limit := b.t.MaxPayload(); limit != defaultMaxPayload {
		m.Header = m.Header.with(Header{keyMaxPayload: strconv.Itoa(limit)})
	}
	return m
}

// limitOf is what the server of a message's sender takes, as it says.
func limitOf(h Header) int {
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
	log zerolog.Logger

	mu    sync.Mutex
	known map[string]route // guarded by mu
	least int              // guarded by mu; of all that are known; 0: none
	said  int              // guarded by mu
}

type route struct {
	limit  int
	doubts bool // a large message got no answer: it may be another server by now
}

// limitTo returns how large a message for verb may be. When a large one got no
// answer the taker is asked first.
func (b *Bus) limitTo(ctx context.Context, verb, subject string, size int) (int, error) {
	own := b.t.MaxPayload()
	r := b.routes.to(verb, own)
	if !r.doubts || size <= modest {
		return min(own, r.limit), nil
	}
	probe := b.tellLimit(Message{Header: partHead{kind: partProbe, id: newID()}.header()})
	answer, err := b.insist(ctx, subject, probe)
	if err != nil && !errors.Is(err, ErrService) { // a program that knows no probe answers with an error
		return 0, fmt.Errorf("ask what its server takes: %w", err)
	}
	b.routes.note(verb, own, 0, answer, nil)
	return min(own, limitOf(answer.Header)), nil
}

// to is what is known of verb; if nothing is, the least of what is known of others.
func (r *routes) to(verb string, own int) route {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, has := r.known[verb]; has {
		if known.limit == 0 {
			known.limit = own
		}
		return known
	}
	if r.least > 0 {
		return route{limit: r.least}
	}
	return route{limit: own}
}

// note notes how a request of size bytes went. Verbs of one instance
// (mapper.<id>) are many, and get small messages only.
func (r *routes) note(verb string, own, size int, answer Message, err error) {
	if strings.Contains(verb, ".") {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[verb]
	switch {
	case err == nil:
		known = route{limit: limitOf(answer.Header)}
		if r.least == 0 || known.limit < r.least {
			r.least = known.limit
		}
		if known.limit < own && known.limit != r.said {
			r.said = known.limit
			r.log.Warn().Str("verb", verb).Int("max_payload", known.limit).Int("own_max_payload", own).
				Msg("the NATS server of the other side takes smaller messages than ours: larger ones go in parts; give both the same max_payload")
		}
	case size > modest && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrOffline) || errors.Is(err, ErrNobody)):
		known.doubts = true
	default:
		return
	}
	if r.known == nil {
		r.known = map[string]route{}
	}
	r.known[verb] = known
}
