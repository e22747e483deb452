package saver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	// maxQueued bounds how many results wait for the commit loop; Memory bounds
	// their bytes. Beyond either, the saver answers busy. The count bounds only the
	// bookkeeping for very small results.
	maxQueued = 4096

	// maxGroup and maxGroupBytes bound one commit, and so the time that the
	// first result of a group waits until the last one is written.
	maxGroup      = 1024
	maxGroupBytes = 32 << 20

	// idleBeat is how often an idle commit loop shows that it is alive.
	idleBeat = time.Second
)

// pending is a result that waits for its commit, and the request to answer.
type pending struct {
	result  sink.Result
	mapper  string // ID
	request *bus.Request
	span    trace.Span
}

// bytes is the memory that a result takes. One without outputs takes some, too.
func (p pending) bytes() int64 {
	const bookkeeping = 2 << 10 // the request with its headers
	return int64(len(p.result.Outputs)+len(p.result.Dead)+8*len(p.result.Counts)) + bookkeeping
}

// handleSave checks a result and queues it. It does no I/O, because the bus calls it on
// its own goroutine.
func (s *Saver) handleSave(r *bus.Request) {
	failpoint.Hit("saver.save.received")
	save, err := wire.DecodeSave(r.Message)
	switch {
	case errors.Is(err, wire.ErrCorrupt): // damaged on the way: the mapper still has it, and sends it again
		s.answer(r, wire.SaveBusy, "result was damaged on the way")
		return
	case err != nil:
		s.answer(r, wire.SaveRefused, err.Error())
		return
	}
	term := s.sink.Term(save.Mapper.Version)
	if status, reason := s.admit(save, term); status != "" {
		s.answer(r, status, reason)
		return
	}
	p := pending{request: r, mapper: save.Mapper.ID, result: sink.Result{
		Chunk: save.Chunk, Of: save.Objects, First: save.First, Objects: save.Objects, Digest: save.Digest,
		Counts: save.Counts, Outputs: save.Outputs, Dead: save.Dead, DeadCount: save.DeadCount,
		Attempt: save.Attempt, Mapper: save.Mapper.Name, Version: save.Mapper.Version, Transform: save.Mapper.Transform, Term: term,
	}}
	p.span = s.span(save)
	if save.Shadow {
		s.queueShadow(p)
		return
	}
	s.metrics.in.Add(float64(len(save.Outputs) + len(save.Dead)))
	if s.queued.Add(p.bytes()) > s.most/2 && p.bytes() < s.queued.Load() {
		s.queued.Add(-p.bytes())
		p.notCommitted("saver has too much to commit")
		s.answer(r, wire.SaveBusy, "saver has too much to commit")
		return
	}
	select {
	case s.queue <- p:
		failpoint.Hit("saver.save.queued")
	default:
		s.queued.Add(-p.bytes())
		p.notCommitted("saver has too many results to commit")
		s.answer(r, wire.SaveBusy, "saver has too many results to commit")
	}
}

// admit returns why a result may not be committed, or an empty status if it may.
// The lease token proves that the fetcher handed this chunk out, with this
// digest and these ordinals, in this term of the mapper's version. The result may be of any
// attempt, and of any epoch of the plan.
func (s *Saver) admit(save wire.Save, term uint64) (status wire.SaveStatus, reason string) {
	lease := wire.Lease{Plan: save.Plan, Chunk: save.Chunk, First: save.First, Objects: save.Objects, Digest: save.Digest, Term: term}
	switch {
	case s.planID() != save.Plan:
		return wire.SaveRefused, s.otherPlan()
	case lease.Vouches(s.sink.Key(), save.Token):
		return "", ""
	case term > 0:
		return wire.SaveRefused, fmt.Sprintf("lease token is not valid for this chunk, or is older than the fence of version %q", save.Mapper.Version)
	}
	return wire.SaveRefused, "lease token is not valid for this chunk"
}

// commitLoop commits group after group until the queue is closed and empty.
func (s *Saver) commitLoop(ctx context.Context) error {
	idle := time.NewTicker(idleBeat)
	defer idle.Stop()
	for {
		s.pulse.Beat()
		select {
		case <-ctx.Done():
			return nil
		case <-idle.C:
			_ = s.sink.Refresh(ctx) // for handleSave, which does no I/O; the next commit tells of an outage
		case first, open := <-s.queue:
			if !open {
				return nil
			}
			if err := s.commit(ctx, s.gather(first)); err != nil {
				return err
			}
		}
	}
}

// gather adds the results that are queued, up to one group.
func (s *Saver) gather(first pending) []pending {
	group, size := []pending{first}, first.bytes()
	for len(group) < maxGroup && size < maxGroupBytes {
		select {
		case p, open := <-s.queue:
			if !open {
				return group
			}
			group, size = append(group, p), size+p.bytes()
		default:
			return group
		}
	}
	return group
}

// commit makes a group durable and answers its requests. An error means that the
// sink is broken. In that case no request of the group is answered.
func (s *Saver) commit(ctx context.Context, group []pending) error {
	results := make([]sink.Result, len(group))
	for i, p := range group {
		results[i] = p.result
		defer s.queued.Add(-p.bytes())
	}
	begin := time.Now()
	s.syncing.Store(0)
	failpoint.Hit("saver.group.gathered")
	outcomes, err := s.sink.Commit(ctx, results)
	switch {
	case errors.Is(err, sink.ErrFull):
		note(&s.full.commit, err)
		s.trouble.full.Note(err)
		s.sendAgain(group, "sink is full")
		return nil
	case errors.Is(err, sink.ErrUnreachable):
		s.trouble.away.Note(err)
		s.sendAgain(group, "sink cannot be reached")
		return nil
	}
	if err != nil {
		for _, p := range group {
			p.notCommitted(err.Error())
		}
		return fmt.Errorf("commit %d results: %w", len(group), err)
	}
	note(&s.full.commit, nil)
	s.trouble.full.Note(nil)
	s.trouble.away.Note(nil)
	for i := range group {
		group[i].result = results[i] // some of its objects may have been dead-lettered
	}
	failpoint.Hit("saver.group.committed")
	took := time.Since(begin)
	s.metrics.committed(group, outcomes, took)
	s.last.Store(&report.SaverLoad{Queued: len(s.queue), CommitSeconds: took.Seconds(), SyncSeconds: time.Duration(s.syncing.Load()).Seconds()})
	s.confirmAndAnswer(group, outcomes)
	return nil
}

// sendAgain answers a group that is not committed so that the mappers send it again.
func (s *Saver) sendAgain(group []pending, why string) {
	for _, p := range group {
		p.notCommitted(why)
		s.answer(p.request, wire.SaveBusy, why)
	}
}

// confirmAndAnswer confirms durable chunks to the fetcher, those included that were committed
// before, and answers the mappers.
func (s *Saver) confirmAndAnswer(group []pending, outcomes []sink.Outcome) {
	durable := make([]wire.SavedChunk, 0, len(group))
	for i, p := range group {
		p.decided(outcomes[i], len(group))
		if outcomes[i].Durable() {
			durable = append(durable, wire.SavedChunk{Entry: wire.Entry{ID: p.result.Chunk, Digest: p.result.Digest}, Mapper: p.mapper, Dead: p.result.DeadCount})
		}
	}
	s.confirms.add(durable)
	failpoint.Hit("saver.confirm.noted")
	for i, p := range group {
		switch outcomes[i] {
		case sink.Committed:
			s.logChunk(s.log.Debug(), p.result).Msg("chunk committed")
			s.answer(p.request, wire.SaveCommitted, "")
		case sink.Duplicate:
			s.duplicates.Add(1)
			s.answer(p.request, wire.SaveDuplicate, "")
		case sink.Conflict:
			s.logChunk(s.strange.Error(), p.result).Str("digest", p.result.Digest.String()).
				Msg("refused a result: the sink holds this chunk with other content")
			s.answer(p.request, wire.SaveRefused, "sink holds this chunk with other content: the source has changed")
		case sink.Overlap:
			s.answer(p.request, wire.SaveRefused, "sink holds some objects of this piece: the chunk was cut anew")
		case sink.TooLate:
			s.answer(p.request, wire.SaveRefused, fmt.Sprintf("version %q was fenced", p.result.Version))
		case sink.OtherTransform:
			s.logChunk(s.strange.Error(), p.result).Str("transform", p.result.Transform).
				Msg("refused a result: another transform made the results of this version that the sink holds")
			s.answer(p.request, wire.SaveRefused, fmt.Sprintf("another transform made the results of version %q that the sink holds: give this one a VERSION of its own", p.result.Version))
		}
		failpoint.Hit("saver.save.answered")
	}
}

func (s *Saver) logChunk(e *zerolog.Event, r sink.Result) *zerolog.Event {
	if e == nil { // debug lines are off: save the work of each chunk
		return nil
	}
	return e.Uint64("chunk", uint64(r.Chunk)).Int("attempt", r.Attempt).Uint64("epoch", s.sink.Epoch()).
		Str("mapper", r.Mapper).Str("mapper_version", r.Version)
}

// answer answers a mapper. A lost answer needs no special case: the mapper sends
// its result again, and the answer is "duplicate".
func (s *Saver) answer(r *bus.Request, status wire.SaveStatus, reason string) {
	s.metrics.answered(status)
	if err := r.Reply(wire.SaveAnswer{Plan: s.planID(), Status: status, Reason: reason, Sink: s.sinkID()}.Encode()); err != nil {
		s.log.Debug().Err(err).Msg("answer to a mapper was lost")
	}
}

// span begins the commit span of a result.
func (s *Saver) span(save wire.Save) trace.Span {
	span := s.tracer.Start(s.tracer.Parent(save.Trace.Parent, save.Trace.State), trace.Commit, time.Now())
	span.Number("chunk", uint64(save.Chunk))
	span.Number("attempt", uint64(save.Attempt))
	span.Number("epoch", save.Epoch)
	span.Text("mapper", save.Mapper.Name)
	span.Text("mapper_version", save.Mapper.Version)
	return span
}

// decided ends the span of a result with its outcome.
func (p pending) decided(outcome sink.Outcome, group int) {
	switch outcome {
	case sink.Committed, sink.Duplicate:
	case sink.Conflict:
		p.span.Fail(errors.New("the sink holds this chunk with other content"))
	case sink.Overlap:
		p.span.Fail(errors.New("the sink holds some objects of this piece"))
	case sink.TooLate:
		p.span.Fail(errors.New("the version was fenced"))
	case sink.OtherTransform:
		p.span.Fail(errors.New("the version stands for another transform"))
	}
	p.span.Text("outcome", outcome.String())
	p.span.Number("group", uint64(group))
	p.span.End()
}

// notCommitted ends the span of a result that was not committed this time.
func (p pending) notCommitted(why string) {
	p.span.Fail(errors.New(why))
	p.span.End()
}
