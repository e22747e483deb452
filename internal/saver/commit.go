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
	// maxQueued bounds how many messages wait for the commit loop; Memory bounds their bytes. Beyond either, the saver
	// answers busy. The count bounds only the bookkeeping for very small results.
	maxQueued = 4096

	// maxGroup and maxGroupBytes bound one commit, and so the time that the first result of a group waits until the
	// last one is written.
	maxGroup      = 1024
	maxGroupBytes = 32 << 20

	// idleBeat is how often an idle commit loop shows that it is alive.
	idleBeat = time.Second
)

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
			_ = s.sink.Refresh(ctx) // for the metric of dead letters; the next commit reports an outage
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
func (s *Saver) gather(first *parcel) []*parcel {
	group, results, size := []*parcel{first}, len(first.results), first.bytes()
	for results < maxGroup && size < maxGroupBytes {
		select {
		case p, open := <-s.queue:
			if !open {
				return group
			}
			group, results, size = append(group, p), results+len(p.results), size+p.bytes()
		default:
			return group
		}
	}
	return group
}

// commit makes a group durable and answers its requests. An error means that the sink is broken. In that case no
// request of the group is answered.
func (s *Saver) commit(ctx context.Context, group []*parcel) error {
	results := make([]sink.Result, 0, len(group))
	for _, p := range group {
		for _, r := range p.results {
			results = append(results, r.Result)
		}
		defer s.queued.Add(-p.bytes())
	}
	s.waiting.Add(-int64(len(results)))
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
		return fmt.Errorf("commit %d results: %w", len(results), err)
	}
	note(&s.full.commit, nil)
	s.trouble.full.Note(nil)
	s.trouble.away.Note(nil)
	next := 0
	for _, p := range group {
		for i := range p.results {
			p.results[i].Result = results[next] // some of its objects may have been dead-lettered
			next++
		}
	}
	failpoint.Hit("saver.group.committed")
	took := time.Since(begin)
	s.metrics.committed(results, outcomes, took)
	s.last.Store(&report.SaverLoad{Queued: int(s.waiting.Load()), CommitSeconds: took.Seconds(), SyncSeconds: time.Duration(s.syncing.Load()).Seconds()})
	s.confirmAndAnswer(group, outcomes)
	return nil
}

// sendAgain answers busy for a group that is not committed, so the mappers send it again.
func (s *Saver) sendAgain(group []*parcel, why string) {
	for _, p := range group {
		p.notCommitted(why)
		s.answer(p)
	}
}

// confirmAndAnswer confirms durable pieces to the fetcher, including those committed before, and answers the mappers.
func (s *Saver) confirmAndAnswer(group []*parcel, outcomes []sink.Outcome) {
	durable := make([]wire.SavedPiece, 0, len(outcomes))
	next := 0
	for _, p := range group {
		for _, r := range p.results {
			outcome := outcomes[next]
			next++
			s.decide(p, r, outcome, len(outcomes))
			if outcome.Durable() {
				durable = append(durable, wire.SavedPiece{Entry: r.Entry(), Mapper: p.mapper, Dead: r.DeadCount})
			}
		}
	}
	s.confirms.add(durable)
	failpoint.Hit("saver.confirm.noted")
	for _, p := range group {
		s.answer(p)
		failpoint.Hit("saver.save.answered")
	}
}

// decide turns the outcome of a result's commit into its status. group is the number of results in its group.
func (s *Saver) decide(p *parcel, r result, outcome sink.Outcome, group int) {
	status, reason := wire.SaveRefused, ""
	switch outcome {
	case sink.Committed:
		status = wire.SaveCommitted
		s.logResult(s.log.Debug(), r).Msg("piece committed")
	case sink.Duplicate:
		status = wire.SaveDuplicate
		s.duplicates.Add(1)
	case sink.Conflict:
		reason = "sink holds this chunk with other content: the source has changed"
		s.logResult(s.strange.Error(), r).Str("digest", r.Digest.String()).Msg("refused a result: the sink holds this chunk with other content")
	case sink.TooLate:
		reason = fmt.Sprintf("version %q was fenced", r.Version)
	case sink.OtherTransform:
		reason = fmt.Sprintf("another transform made the results of version %q that the sink holds: give this one a VERSION of its own", r.Version)
		s.logResult(s.strange.Error(), r).Str("transform", r.Transform).
			Msg("refused a result: another transform made the results of this version that the sink holds")
	case sink.Overlap:
		reason = "some of these objects are saved already, as a part of another piece"
	}
	p.setStatus(r, status, reason)
	if reason != "" {
		r.span.Fail(errors.New(reason))
	}
	r.span.Text("outcome", outcome.String())
	r.span.Number("group", uint64(group))
	r.span.End()
}

func (s *Saver) logResult(e *zerolog.Event, r result) *zerolog.Event {
	if e == nil { // debug lines are off: save the work of each result
		return nil
	}
	return e.Uint64("chunk", uint64(r.Chunk)).Uint64("first", r.First).Int("attempt", r.Attempt).Uint64("epoch", s.sink.Epoch()).
		Str("mapper", r.Mapper).Str("mapper_version", r.Version)
}

// answer answers a mapper. A lost answer needs no special case: the mapper sends its results again, and the answer is
// "duplicate".
func (s *Saver) answer(p *parcel) {
	for _, status := range p.answer.Statuses {
		s.metrics.answered(status)
	}
	s.send(p.request, p.answer)
}

// answerAll gives all results of a message the same answer.
func (s *Saver) answerAll(r *bus.Request, status wire.SaveStatus, reason string) {
	s.metrics.answered(status)
	s.send(r, wire.SaveAnswer{Statuses: []wire.SaveStatus{status}, Reason: reason})
}

func (s *Saver) send(r *bus.Request, a wire.SaveAnswer) {
	a.Plan, a.Sink = s.planID(), s.sinkID()
	if err := r.Reply(a.Encode()); err != nil {
		s.log.Debug().Err(err).Msg("answer to a mapper was lost")
	}
}

// span begins the commit span of a result.
func (s *Saver) span(save wire.Save, r *wire.Result) trace.Span {
	span := s.tracer.Start(s.tracer.Parent(r.Trace.Parent, r.Trace.State), trace.Commit, time.Now())
	span.Number("chunk", uint64(r.Chunk))
	span.Number("attempt", uint64(r.Attempt))
	span.Number("epoch", save.Epoch)
	span.Text("mapper", save.Mapper.Name)
	span.Text("mapper_version", save.Mapper.Version)
	return span
}
