package mapper

import (
	"context"
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	nextWait   = 5 * time.Second // how long the fetcher may keep a request for work open
	replySlack = time.Second     // how much longer the mapper waits, for the request and its answer to travel

	// withdrawTimeout is how long a draining mapper waits for the answers to its open
	// requests. A fetcher that is running answers them at once.
	withdrawTimeout = time.Second
)

// verdict is the outcome of a request for work.
type verdict int

const (
	haveWork verdict = iota
	askAgain         // no chunk yet, or no answer in time: the worker has waited already
	askLater         // no responders, or refused: pause first
	jobDone
)

// next asks the fetcher for a chunk. With haveWork the chunk is in the mapper's list,
// and cancel ends the work on it.
//
// When asking ends, next waits for up to withdrawTimeout longer, because a chunk that is on its
// way would have to be handed out again. By then the heartbeats tell the fetcher that this
// mapper drains, so the fetcher answers soon.
func (m *Mapper) next(asking context.Context, worker int, self report.Mapper, cancel context.CancelCauseFunc) (wire.Work, verdict) {
	answering, done := context.WithTimeout(context.WithoutCancel(asking), nextWait+replySlack)
	defer done()
	request := m.state.ask(worker, self, done)
	defer context.AfterFunc(asking, func() { time.AfterFunc(withdrawTimeout, done) })()
	failpoint.Hit("mapper.next.sending")
	reply, err := m.bus.Request(answering, wire.VerbNext, request.Encode())
	if err != nil {
		m.state.closed(request.Seq)
		noteRequest(m.outages.fetcher, err)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) { // canceled by a hello, or because the mapper drains
			return wire.Work{}, askAgain
		}
		return wire.Work{}, askLater
	}
	work, err := wire.DecodeWork(reply)
	if err != nil { // damaged on the way: the fetcher sees that its chunk is not in the list
		m.state.closed(request.Seq)
		m.strange.Warn().Err(err).Msg("could not read the fetcher's answer")
		return wire.Work{}, askLater
	}
	noteRequest(m.outages.fetcher, nil)
	m.hellos.answered(work.Plan, work.Epoch)
	if work.Status != wire.WorkRefused {
		m.outages.refusal.Note(nil)
	}
	switch work.Status {
	case wire.WorkChunk:
		if m.state.take(request.Seq, work, cancel) {
			return work, haveWork
		}
		return wire.Work{}, askAgain
	case wire.WorkDone:
		m.state.closed(request.Seq)
		return wire.Work{}, jobDone
	case wire.WorkRefused:
		m.state.closed(request.Seq)
		if m.refused(work) {
			return wire.Work{}, askAgain
		}
		return wire.Work{}, askLater
	default:
		m.state.closed(request.Seq)
		return wire.Work{}, askAgain
	}
}
