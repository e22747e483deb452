package transform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/webservice"
)

// longestAfter bounds the wait that a transform asks for, such as Retry-After. The worker has no other chunk meanwhile.
const longestAfter = time.Minute

// A batchError is the failure of a batch. It is not known which of its objects caused it.
type batchError struct{ err error }

func (e *batchError) Error() string { return e.err.Error() }
func (e *batchError) Unwrap() error { return e.err }

// A Retry describes an object that waits for another try.
type Retry struct {
	Index int // of the object within the chunk
	Try   int // the next one, from 2
	Wait  time.Duration
	Err   string // of the last try
}

// retries holds the objects of a chunk that wait to be tried again. Waiting takes no more memory than the objects and
// their turns.
type retries struct {
	most    int // tries of an object after the first one
	tell    func(Retry)
	again   func(objects int)
	jitter  func(most time.Duration) time.Duration
	waiting []waiter
}

// A waiter is a turn that is taken when it is due.
type waiter struct {
	turn
	due time.Time
	err *webservice.TemporaryError // why the last try failed, the same for all objects of a batch; nil: the failure was not temporary, but that of a batch
}

func newRetries(o Options) retries {
	r := retries{most: o.Retries, tell: o.Retrying, again: o.Again, jitter: o.jitter}
	if r.jitter == nil {
		r.jitter = func(most time.Duration) time.Duration { return rand.N(most + 1) }
	}
	return r
}

// postpone lets a failed object wait for its next try. It returns false if err is final: the failure is not temporary,
// or the object has had all its tries. The object is sent alone in its last try, and in one more try after its batch
// failed for good. So no object becomes a dead letter because of another one.
func (r *retries) postpone(failed turn, err error) bool {
	temporary, _ := errors.AsType[*webservice.TemporaryError](err)
	_, shared := errors.AsType[*batchError](err)
	next := waiter{turn: turn{index: failed.index, tries: failed.tries + 1}, due: time.Now(), err: temporary}
	switch {
	case temporary != nil && failed.tries < r.most:
		next.alone = failed.alone || next.tries == r.most
	case shared && !failed.alone:
		next.tries, next.alone, next.err = failed.tries, true, nil
		r.waiting = append(r.waiting, next)
		return true
	default:
		return false
	}
	if last := len(r.waiting) - 1; last >= 0 && r.waiting[last].err == temporary && r.waiting[last].tries == next.tries {
		next.due = r.waiting[last].due // objects of a batch wait together
	} else {
		next.due = next.due.Add(r.wait(next.tries, temporary.After))
	}
	r.waiting = append(r.waiting, next)
	if r.tell != nil {
		r.tell(Retry{Index: next.index, Try: next.tries + 1, Wait: time.Until(next.due), Err: webservice.Shorten(err.Error(), maxReason)})
	}
	return true
}

// wait returns how long an object waits before its n-th retry.
func (r *retries) wait(n int, after time.Duration) time.Duration {
	return min(after, longestAfter) + r.jitter(backoff.Longest(n))
}

// tried adds the number of tries to an error.
func tried(last turn, err error) string {
	if last.tries == 0 {
		return err.Error()
	}
	return fmt.Sprintf("tried %d times: %v", last.tries+1, err)
}

// nextRound waits until the first waiting objects are due and returns them in the order of the chunk. It returns none
// if no object waits.
func (r *run) nextRound(ctx context.Context) ([]turn, error) {
	if len(r.retries.waiting) == 0 {
		return nil, nil
	}
	if r.child != nil { // so that no later failure makes these objects repeat others
		if err := r.child.prove(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.announce(len(r.items)); err != nil {
		return nil, err
	}
	r.reorder = true
	return r.retries.due(ctx)
}

// due waits until the first waiter is due, and removes and returns all that are due.
func (r *retries) due(ctx context.Context) ([]turn, error) {
	first := slices.MinFunc(r.waiting, func(a, b waiter) int { return a.due.Compare(b.due) })
	if err := backoff.Sleep(ctx, time.Until(first.due)); err != nil {
		return nil, err
	}
	var round []turn
	now := time.Now()
	r.waiting = slices.DeleteFunc(r.waiting, func(w waiter) bool {
		if w.due.After(now) {
			return false
		}
		round = append(round, w.turn)
		return true
	})
	slices.SortFunc(round, func(a, b turn) int { return cmp.Compare(a.index, b.index) })
	if r.again != nil {
		r.again(len(round))
	}
	return round, nil
}
