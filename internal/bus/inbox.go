package bus

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/chunkline/chunkline/internal/wire"
)

// An inbox hands answers to those who wait for them. All answers of a
// connection come through one wildcard subscription. We have our own, not
// nats.go's, so that requests can end when the connection breaks and sending
// one does not take the connection's lock.
type inbox struct {
	prefix string // of the reply subjects, with its last dot

	mu      sync.Mutex
	waiting map[string]chan answer // guarded by mu; by last token of the reply subject
}

type answer struct {
	message wire.Message
	err     error
}

func newInbox(prefix string) *inbox {
	return &inbox{prefix: prefix + ".", waiting: map[string]chan answer{}}
}

// open returns a reply subject and where its answer will be.
func (i *inbox) open() (subject string, answers chan answer) {
	answers = make(chan answer, 1)
	token := strconv.FormatUint(rand.Uint64(), 36) // not to be guessed, never used again
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting[token] = answers
	return i.prefix + token, answers
}

// take removes who waits at a reply subject; nil: nobody, the answer is late.
func (i *inbox) take(subject string) chan answer {
	token := strings.TrimPrefix(subject, i.prefix)
	i.mu.Lock()
	defer i.mu.Unlock()
	answers := i.waiting[token]
	delete(i.waiting, token)
	return answers
}

// deliver hands an answer to who waits for it. The first one counts.
func (i *inbox) deliver(subject string, a answer) {
	if answers := i.take(subject); answers != nil {
		answers <- a
	}
}

// fail ends all requests that wait for an answer.
func (i *inbox) fail(err error) {
	i.mu.Lock()
	waiting := i.waiting
	i.waiting = map[string]chan answer{}
	i.mu.Unlock()
	for _, answers := range waiting {
		answers <- answer{err: err}
	}
}
