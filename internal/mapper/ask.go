package mapper

import (
	"context"
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	nextWait   = 5 * time.Second // how long the fetcher may keep a request for work open
	replySlack = time.Second     // how much longer the mapper waits for the answer to begin to arrive

	// withdrawTimeout is how long a draining mapper waits for the answers to its open requests. A fetcher that is
	// running answers them at once.
	withdrawTimeout = time.Second
)

// outcome is the outcome of a request for work.
type outcome int

const (
	haveWork outcome = iota
	askAgain         // no work yet, or no answer in time: the worker has waited already
	askLater         // no responders, or refused: pause first
	jobDone
)

// An answer is the outcome of a request for work.
type answer struct {
	outcome outcome
	task    *task           // the transform that the request named
	hello   <-chan struct{} // closed by a hello since the request was made

	pieces []*piece // with haveWork; mapped with task
	memory int64    // with haveWork; the memory that the pieces take
}

// ask asks the fetcher for work that fits into the reserved memory, which it frees if it gets no work. The fetcher
// keeps the request open for the given time.
func (m *Mapper) ask(asking, work context.Context, worker int, wait time.Duration, reserved int64) answer {
	a := answer{task: m.task.Load(), hello: m.hellos.next()} // before the request, so that a hello that comes meanwhile ends the pause
	a.pieces, a.outcome = m.next(asking, work, worker, a.task, wait)
	if a.outcome == haveWork && a.task.self.Transform == "" { // a correct fetcher gives such a mapper no work
		m.giveBack(a.pieces)
		a.pieces, a.outcome = nil, askLater
	}
	if a.outcome == haveWork {
		a.memory = m.memory.use(reserved, sizeOf(a.pieces))
	} else {
		m.memory.resize(reserved, 0)
	}
	return a
}

// sizeOf returns the bytes of the pieces' objects.
func sizeOf(pieces []*piece) int {
	n := 0
	for _, p := range pieces {
		n += len(p.Chunk.Body)
	}
	return n
}

// decline gives back the work of an answer.
func (m *Mapper) decline(a answer) {
	m.giveBack(a.pieces)
	m.memory.resize(a.memory, 0)
}

// giveBack gives up pieces that were not begun. The next list that the fetcher gets shows that this mapper does not
// hold them.
func (m *Mapper) giveBack(pieces []*piece) {
	for _, p := range pieces {
		m.state.release(p)
	}
}

// next asks the fetcher for work. With haveWork the pieces are in the mapper's list. They end when work ends, or when
// the fetcher says that they are not needed any more.
//
// When asking ends, next waits for up to withdrawTimeout longer, because pieces that are on their way would have to be
// handed out again. By then the heartbeats tell the fetcher that this mapper drains, so the fetcher answers soon.
func (m *Mapper) next(asking, work context.Context, worker int, task *task, wait time.Duration) ([]*piece, outcome) {
	answering, done := context.WithCancel(context.WithoutCancel(asking))
	defer done()
	request := m.state.ask(worker, task.self, wait, done)
	defer m.state.closed(request.Seq) // has no effect once its pieces are admitted
	request.Pace, request.Grain = m.pace.perObject(), task.spec.AtOnce()
	defer context.AfterFunc(asking, func() { time.AfterFunc(withdrawTimeout, done) })()
	failpoint.Hit("mapper.next.sending")
	reply, err := m.bus.Await(answering, nextWait+replySlack, wire.VerbNext, request.Encode())
	if err != nil {
		noteRequest(m.outages.fetcher, err)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) { // canceled by a hello, or because the mapper drains
			return nil, askAgain
		}
		return nil, askLater
	}
	answer, err := wire.DecodeWork(reply)
	if err != nil { // damaged on the way: the fetcher sees that its pieces are not in the list
		m.strange.Warn().Err(err).Msg("could not read the fetcher's answer")
		return nil, askLater
	}
	noteRequest(m.outages.fetcher, nil)
	m.hellos.answered(answer.Plan, answer.Epoch)
	if answer.Status != wire.WorkRefused {
		m.outages.refusal.Note(nil)
	}
	switch answer.Status {
	case wire.WorkGrant:
		if pieces := m.state.admit(work, request.Seq, answer); len(pieces) > 0 {
			return pieces, haveWork
		}
	case wire.WorkDone:
		return nil, jobDone
	case wire.WorkRefused:
		if !m.refused(answer) {
			return nil, askLater
		}
	case wire.WorkNone:
	}
	return nil, askAgain
}
