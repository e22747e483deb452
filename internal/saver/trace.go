package saver

import (
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// span begins the commit of a result that has come.
func (s *Saver) span(save wire.Save) trace.Span {
	span := s.tracer.Start(s.tracer.Parent(save.Trace.Parent, save.Trace.State), trace.Commit, time.Now())
	span.Number("chunk", uint64(save.Chunk))
	span.Number("attempt", uint64(save.Attempt))
	span.Number("epoch", save.Epoch)
	span.Text("mapper", save.Mapper.Name)
	span.Text("mapper_version", save.Mapper.Version)
	return span
}

// decided ends the span of a result that is durable now, or was before, or never will be.
func (p pending) decided(outcome sink.Outcome, group int) {
	switch outcome {
	case sink.Committed, sink.Duplicate:
	case sink.Conflict:
		p.span.Fail(errors.New("the sink holds this chunk with other content"))
	case sink.TooLate:
		p.span.Fail(errors.New("the version was fenced"))
	case sink.OtherTransform:
		p.span.Fail(errors.New("the version stands for another transform"))
	}
	p.span.Text("outcome", outcome.String())
	p.span.Number("group", uint64(group))
	p.span.End()
}

func (p pending) notCommitted(why string) {
	p.span.Fail(errors.New(why))
	p.span.End()
}
