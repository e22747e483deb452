package saver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// A parcel is the results of one message, and the request to answer.
type parcel struct {
	request *bus.Request
	mapper  string // ID
	results []result
	answer  wire.SaveAnswer // so far: a status for each result, empty if it is not known yet
}

// A result is a sink.Result that waits for its commit or its comparison.
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

// handleSave checks results and queues them. It does no I/O, because the bus calls it on its own goroutine.
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
	}
	p := s.check(r, save)
	if len(p.results) == len(save.Results) {
		s.accept(p, save)
		return
	}
	select {
	case s.doubted <- doubt{request: r, save: save}:
	default:
		s.answerAll(r, wire.SaveBusy, "saver has too many results to check again")
	}
}

// maxDoubted bounds how many messages wait to be checked again. Memory does not count them.
const maxDoubted = 8

// A doubt is a message with a result that the saver would refuse, given what it has read from the sink so far. Another
// saver of the sink may have recorded a claim or a fence since, so the saver reads them before it refuses a result.
type doubt struct {
	request *bus.Request
	save    wire.Save
}

// recheckLoop checks messages again until doubted is closed. Then it closes the queues: handlers no longer run, so
// nothing else is sent on them.
func (s *Saver) recheckLoop(ctx context.Context) error {
	for {
		select {
		case d, open := <-s.doubted:
			if !open {
				close(s.queue)
				close(s.shadowed)
				return nil
			}
			s.recheck(ctx, d)
		case <-ctx.Done(): // a loop has failed
			return nil
		}
	}
}

// recheck checks a message again, and those that wait behind it, with the claims and fences of all savers. One look at
// the sink is enough for all: each of them arrived before it.
func (s *Saver) recheck(ctx context.Context, first doubt) {
	doubts := []doubt{first}
	for len(s.doubted) > 0 { // nobody else receives
		doubts = append(doubts, <-s.doubted)
	}
	err := s.sink.Refresh(ctx)
	for _, d := range doubts {
		if err != nil {
			s.answerAll(d.request, wire.SaveBusy, err.Error())
			continue
		}
		s.accept(s.check(d.request, d.save), d.save) //nolint:contextcheck // the result carries its trace context
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
		p.results = append(p.results, result{index: i, Result: sink.Result{
			Chunk: of.Chunk, From: of.From, Of: of.Of, First: of.First, Objects: of.Objects, Digest: of.Digest,
			Counts: of.Counts, Outputs: of.Outputs, Dead: of.Dead, DeadCount: of.DeadCount,
			Attempt: of.Attempt, Mapper: save.Mapper.Name, Version: save.Mapper.Version, Transform: save.Mapper.Transform, Term: term,
		}})
	}
	return p
}

// accept queues the results of a parcel, or answers it if all are refused.
func (s *Saver) accept(p *parcel, save wire.Save) {
	for i := range p.results {
		p.results[i].span = s.span(save, &save.Results[p.results[i].index])
	}
	switch {
	case len(p.results) == 0:
		s.answer(p)
	case save.Shadow:
		s.queueShadow(p)
	default:
		s.queueParcel(p)
	}
}

// queueParcel queues results for the commit loop, or answers busy.
func (s *Saver) queueParcel(p *parcel) {
	for _, r := range p.results {
		s.metrics.in.Add(float64(len(r.Outputs) + len(r.Dead)))
	}
	bytes, results := p.bytes(), int64(len(p.results)) // before the commit loop has the parcel
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

// refuse returns why a result may not be committed, or "" if it may. The lease token proves that the fetcher granted
// this piece, with this digest and these ordinals, in this term of the mapper's version. The result may be of any
// attempt, and of any epoch of the plan.
func (s *Saver) refuse(save wire.Save, r *wire.Result, term uint64) (reason string) {
	lease := wire.Lease{Plan: save.Plan, Piece: r.Piece(), Of: r.Of, First: r.First, Digest: r.Digest, Term: term}
	switch {
	case s.planID() != save.Plan:
		return s.otherPlan()
	case lease.Vouches(s.sink.Key(), r.Token):
		return wrongLetters(r)
	case term > 0:
		return fmt.Sprintf("lease token is not valid for this piece, or is older than the fence of version %q", save.Mapper.Version)
	}
	return "lease token is not valid for this piece"
}

// wrongLetters returns why the dead letters of a result are invalid, or "" if they are valid. Each must belong to an
// object of the piece that has no outputs, and they must be in the order of the objects. Databases store a letter as
// text with its ordinal as key, so another one would be an error of the sink, which ends the saver.
func wrongLetters(r *wire.Result) string {
	letters, err := sink.Letters(r.Dead)
	if err != nil || !utf8.Valid(r.Dead) {
		return "a dead letter is not JSON in UTF-8 with an ordinal"
	}
	next := r.First
	for _, l := range letters {
		if l.Ordinal < next || l.Ordinal-r.First >= uint64(r.Objects) || r.Counts[l.Ordinal-r.First] > 0 {
			return fmt.Sprintf("object %d has a dead letter, and is not in the piece, has outputs or comes twice", l.Ordinal)
		}
		next = l.Ordinal + 1
	}
	return ""
}
