package mapper

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// verdict is what came of asking for work.
type verdict int

const (
	haveWork verdict = iota
	askAgain         // nothing yet, or no answer in time: the wait was the pause
	askLater         // nobody there or refused: pause first
	jobDone
)

// next asks for a chunk. With haveWork the chunk is on the mapper's list, and
// cancel ends the work on it.
//
// The end of asking does not end the wait at once: a chunk that is on its way
// would have to be handed out again. The beats say by then that this mapper
// drains, so the answer comes soon.
func (m *Mapper) next(asking context.Context, worker int, self report.Mapper, cancel context.CancelCauseFunc) (wire.Work, verdict) {
	answering, done := context.WithTimeout(context.WithoutCancel(asking), nextWait+replySlack)
	defer done()
	question := m.state.ask(worker, self, done)
	defer context.AfterFunc(asking, func() { time.AfterFunc(withdrawTimeout, done) })()
	failpoint.Hit("mapper.next.sending")
	reply, err := m.bus.Request(answering, wire.VerbNext, question.Encode())
	if err != nil {
		m.state.closed(question.Seq)
		heard(m.peers.fetcher, err)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) { // by a hello, or because the mapper ends
			return wire.Work{}, askAgain
		}
		return wire.Work{}, askLater
	}
	work, err := wire.DecodeWork(reply)
	if err != nil { // damaged on the way: the fetcher sees that this chunk is not on the list
		m.state.closed(question.Seq)
		m.strange.Warn().Err(err).Msg("could not read the fetcher's answer")
		return wire.Work{}, askLater
	}
	heard(m.peers.fetcher, nil)
	m.hellos.answered(work.Plan, work.Epoch)
	if work.Status != wire.WorkRefused {
		m.peers.refusal.Note(nil)
	}
	switch work.Status {
	case wire.WorkChunk:
		if m.state.take(question.Seq, work, cancel) {
			return work, haveWork
		}
		return wire.Work{}, askAgain
	case wire.WorkDone:
		m.state.closed(question.Seq)
		return wire.Work{}, jobDone
	case wire.WorkRefused:
		m.state.closed(question.Seq)
		if m.refused(work) {
			return wire.Work{}, askAgain
		}
		return wire.Work{}, askLater
	default:
		m.state.closed(question.Seq)
		return wire.Work{}, askAgain
	}
}

// save hands a result to the saver until it is there, refused, or no longer
// wanted. Sending it again is safe: the saver keeps one.
func (m *Mapper) save(ctx context.Context, p parcel) {
	defer p.span.End()
	pause := m.backoff(uint64(p.chunk))
	for try := 1; ctx.Err() == nil; try++ {
		answer, err := m.trySave(ctx, p.message)
		heard(m.peers.saver, err)
		p.span.Note(err)
		p.span.Text("outcome", string(answer.Status))
		switch {
		case err != nil && try == 1: // how long the saver is away is said once, for all chunks
			p.log(m.log.Debug()).Err(err).Msg("result got no answer")
		case err != nil:
		case answer.Status == wire.SaveCommitted, answer.Status == wire.SaveDuplicate:
			m.metrics.saved(string(answer.Status))
			p.log(m.log.Debug()).Str("outcome", string(answer.Status)).Msg("chunk saved")
			return
		case answer.Status == wire.SaveRefused:
			m.metrics.saved(string(answer.Status))
			p.span.Fail(errors.New(answer.Reason))
			p.log(m.strange.Error()).Str("reason", answer.Reason).Msg("saver refused a result")
			return
		}
		sleep(ctx, pause.next(), nil)
	}
	p.span.Fail(context.Cause(ctx))
}

func (m *Mapper) trySave(ctx context.Context, message wire.Message) (wire.SaveAnswer, error) {
	ctx, done := context.WithTimeout(ctx, saveTimeout+time.Duration(len(message.Body))*time.Microsecond) // a large result may travel at 1 MB/s
	defer done()
	failpoint.Hit("mapper.save.sending")
	reply, err := m.bus.Request(ctx, wire.VerbSave, message)
	if err != nil {
		return wire.SaveAnswer{}, err
	}
	failpoint.Hit("mapper.save.answered")
	return wire.DecodeSaveAnswer(reply)
}

// beatLoop says every second that the mapper lives, and what it holds.
func (m *Mapper) beatLoop(ctx context.Context) error {
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	for {
		m.pulse.Beat()
		m.peers.beats.Note(m.beat(nil, false))
		failpoint.Hit("mapper.beat.sent")
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *Mapper) beat(doing *wire.Doing, goodbye bool) error {
	beat := m.state.beat(m.task.Load().self, doing, goodbye)
	m.signs.tell(&beat)
	return m.bus.Publish(wire.VerbBeat, beat.Encode())
}

// announce says which object is about to be touched, and waits until the
// server has it: should the object kill this process, the fetcher knows which.
// Without a connection to NATS it keeps trying, so it fails only when ctx ends.
func (m *Mapper) announce(ctx context.Context, id chunk.ID, index int) error {
	pause := m.backoff(uint64(id))
	for try := 1; ctx.Err() == nil; try++ {
		err := m.beat(&wire.Doing{Chunk: id, Index: index}, false)
		failpoint.Hit("mapper.announce.sent")
		if err == nil {
			err = m.flush(ctx)
		}
		if err == nil {
			failpoint.Hit("mapper.announce.flushed")
			return nil
		}
		if try == 1 {
			m.log.Debug().Err(err).Uint64("chunk", uint64(id)).Msg("object could not be announced")
		}
		sleep(ctx, pause.next(), nil)
	}
	return ctx.Err()
}

func (m *Mapper) flush(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, flushTimeout)
	defer done()
	return m.bus.Flush(ctx)
}

// handleOrder answers the fetcher's direct questions.
func (m *Mapper) handleOrder(r *bus.Request) {
	order, err := wire.DecodeOrder(r.Message)
	if err != nil {
		m.strange.Warn().Err(err).Msg("could not read an order")
		return
	}
	failpoint.Hit("mapper.order.received")
	switch order.Kind {
	case wire.OrderDrop:
		m.state.drop(order.Plan, order.Chunk)
	case wire.OrderDrain:
		select {
		case m.drain <- order.Reason:
		default: // it was asked before
		}
	case wire.OrderPing: // the answer is all it wants
	}
	if err := r.Reply(wire.OrderAnswer{Plan: order.Plan}.Encode()); err != nil {
		m.log.Debug().Err(err).Msg("answer to an order was lost")
	}
	failpoint.Hit("mapper.order.answered")
}

// backoff is a pause that doubles from minPause to maxPause, with jitter so
// that many workers do not come back at once.
type backoff struct {
	last time.Duration
	dice *rand.Rand
}

// backoff begins a series of pauses. They follow from the mapper's ID, so that a
// simulation can be repeated.
func (m *Mapper) backoff(series uint64) backoff {
	return backoff{dice: rand.New(rand.NewPCG(m.jitter, series))}
}

func (b *backoff) reset() { b.last = 0 }

// next is the next pause.
func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, minPause), maxPause)
	return b.last/2 + time.Duration(b.dice.Int64N(int64(b.last)))
}

// sleep waits for d, until ctx ends or until sooner is closed; nil: it never is.
func sleep(ctx context.Context, d time.Duration, sooner <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-sooner:
	case <-ctx.Done():
	}
}
