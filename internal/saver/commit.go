package saver

import (
	"cmp"
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
	// maxQueued bounds how many messages wait for the commit loop; Memory bounds
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

// A parcel is the results of one message, and the request to answer.
type parcel struct {
	request *bus.Request
	mapper  string // ID
	results []result
	answer  wire.SaveAnswer // so far: a status for each result, empty if it is not known yet
}

// result is one that waits for its commit, or its comparison.
type result struct {
	sink.Result
	index int // in the message
	span  trace.Span
}

// setStatus records the outcome of a result. The answer has the reason of the first result that is not saved.
func (p *parcel) setStatus(r result, status wire.SaveStatus, reason string) {
	p.answer.Statuses[r.index] = status
	p.answer.Reason = cmp.Or(p.answer.Reason, reason)
}

// notCommitted answers busy for all results and ends their spans, because they were not committed this time.
func (p *parcel) notCommitted(why string) {
	for _, r := range p.results {
		r.span.Fail(errors.New(why))
		r.span.End()
		p.setStatus(r, wire.SaveBusy, why)
	}
}

// bytes returns the memory that the results take. Results without outputs also take some.
func (p *parcel) bytes() int64 {
	const bookkeeping = 2 << 10 // its part of the request, and its other state
	n := int64(0)
	for _, r := range p.results {
		n += int64(len(r.Outputs)+len(r.Dead)+8*len(r.Counts)) + bookkeeping
	}
	return n
}

// handleSave checks results and queues them. It does no I/O, because the bus calls it on
// its own goroutine.
func (s *Saver) handleSave(r *bus.Request) {
	failpoint.Hit("saver.save.received")
	save, err := wire.DecodeSave(r.Message)
	switch {
	case errors.Is(err, wire.ErrCorrupt): // damaged on the way: the mapper still has it and sends it again
		s.answerAll(r, wire.SaveBusy, "result was damaged on the way")
		return
	case err != nil:
		s.answerAll(r, wire.SaveRefused, err.Error())
		return
	case s.planID() != save.Plan:
		s.answerAll(r, wire.SaveRefused, s.otherPlan())
		return
	}
	p := s.check(r, save)
	switch {
	case len(p.results) == 0:
		s.answer(p)
	case save.Shadow:
		s.queueShadow(p)
	default:
		s.queueParcel(p)
	}
}

// check makes a parcel of the results that may be committed. It refuses the others.
func (s *Saver) check(r *bus.Request, save wire.Save) *parcel {
	p := &parcel{request: r, mapper: save.Mapper.ID, answer: wire.SaveAnswer{Statuses: make([]wire.SaveStatus, len(save.Results))}}
	term := s.sink.Term(save.Mapper.Version)
	for i := range save.Results {
		of := &save.Results[i]
		if reason := s.refuse(save, of, term); reason != "" {
			p.setStatus(result{index: i}, wire.SaveRefused, reason)
			continue
		}
		p.results = append(p.results, result{index: i, span: s.span(save, of), Result: sink.Result{
			Chunk: of.Chunk, From: of.From, Of: of.Of, First: of.First, Objects: of.Objects, Digest: of.Digest,
			Counts: of.Counts, Outputs: of.Outputs, Dead: of.Dead, DeadCount: of.DeadCount,
			Attempt: of.Attempt, Mapper: save.Mapper.Name, Version: save.Mapper.Version, Transform: save.Mapper.Transform, Term: term,
		}})
	}
	return p
}

// queueParcel queues results for the commit loop, or answers busy.
func (s *Saver) queueParcel(p *parcel) {
	for _, r := range p.results {
		s.metrics.in.Add(float64(len(r.Outputs) + len(r.Dead)))
	}
	bytes, results := p.bytes(), int64(len(p.results)) // before the commit loop has it
	if s.queued.Add(bytes) > s.most/2 && bytes < s.queued.Load() {
		s.queued.Add(-bytes)
		p.notCommitted("saver has too much to commit")
		s.answer(p)
		return
	}
	s.waiting.Add(results)
	select {
	case s.queue <- p:
		failpoint.Hit("saver.save.queued")
	default:
		s.waiting.Add(-results)
		s.queued.Add(-bytes)
		p.notCommitted("saver has too many results to commit")
		s.answer(p)
	}
}

// refuse returns why a result may not be committed, or "" if it may.
// The lease token proves that the fetcher granted this piece, with this
// digest and these ordinals, in this term of the mapper's version. The result may be of any
// attempt, and of any epoch of the plan.
func (s *Saver) refuse(save wire.Save, r *wire.Result, term uint64) (reason string) {
	lease := wire.Lease{Plan: save.Plan, Piece: r.Piece(), Of: r.Of, First: r.First, Digest: r.Digest, Term: term}
	switch {
	case lease.Vouches(s.sink.Key(), r.Token):
		return ""
	case term > 0:
		return fmt.Sprintf("lease token is not valid for this piece, or is older than the fence of version %q", save.Mapper.Version)
	}
	return "lease token is not valid for this piece"
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
			_ = s.sink.Refresh(ctx) // for handleSave, which does no I/O; the next commit reports an outage
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

// commit makes a group durable and answers its requests. An error means that the
// sink is broken. In that case no request of the group is answered.
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
				durable = append(durable, wire.SavedPiece{
					Entry:  wire.Entry{ID: r.Chunk, From: r.From, Objects: r.Objects, Of: r.Of, Digest: r.Digest},
					Mapper: p.mapper, Dead: r.DeadCount,
				})
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

// answer answers a mapper. A lost answer needs no special case: the mapper sends
// its results again, and the answer is "duplicate".
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
