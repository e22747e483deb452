package mapper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
)

// mapChunk maps one chunk. An error means that the chunk was dropped, or that
// the transform itself is broken.
func (m *Mapper) mapChunk(ctx context.Context, tool *tool, w wire.Work) (save wire.Save, err error) {
	options := transform.Options{Timeout: m.cfg.Timeout, Retries: m.cfg.Retries, Retrying: m.retrying(w, tool.of.spec.Kind())}
	if !w.Shadow { // the objects of a shadow chunk are saved already
		options.After = m.failures.of(w.Chunk.ID)
	}
	if w.Careful {
		options.Before = func(index int) error { return m.announce(ctx, w.Chunk.ID, index) }
	}
	m.metrics.busy.Add(1)
	defer m.metrics.busy.Add(-1)
	begin := time.Now()
	span, place := m.span(trace.Map, begin, w.Chunk.ID, w.Attempt, w.Trace)
	defer func() { span.Fail(err); span.End() }()
	out, err := transform.Run(ctx, tool.Transform, w.Chunk.Body, slices.Concat(w.Chunk.Bad, w.Skip, m.drill.spoil(w.Chunk.Count)), options)
	if err != nil {
		return wire.Save{}, fmt.Errorf("map chunk %d: %w", w.Chunk.ID, err)
	}
	if w.Careful { // if this process is killed now, no object of the chunk is to blame
		if err := m.announce(ctx, w.Chunk.ID, w.Chunk.Count); err != nil {
			return wire.Save{}, err
		}
	}
	failpoint.Hit("mapper.chunk.mapped")
	m.metrics.mapped(time.Since(begin), w, out)
	span.Number("dead", uint64(len(out.Failed)))
	save = wire.Save{
		Plan: w.Plan, Epoch: w.Epoch, Chunk: w.Chunk.ID, First: w.Chunk.First, Objects: w.Chunk.Count,
		Attempt: w.Attempt, Digest: w.Digest, Token: w.Token, Mapper: tool.of.self,
		Counts: out.Counts, Outputs: out.Lines, DeadCount: len(out.Failed), Shadow: w.Shadow, Trace: place,
	}
	if len(out.Failed) > 0 {
		save.Dead = m.deadLetters(w, tool.of.self, out.Failed)
	}
	m.metrics.made(save)
	return save, nil
}

// retrying returns a function that counts and logs that an object will be tried again.
func (m *Mapper) retrying(w wire.Work, kind string) func(transform.Retry) {
	return func(r transform.Retry) {
		m.metrics.retried(kind)
		m.log.Debug().Uint64("chunk", uint64(w.Chunk.ID)).Int("attempt", w.Attempt).Uint64("ordinal", w.Chunk.First+uint64(r.Index)).
			Int("try", r.Try).Stringer("after", r.Wait).Str("reason", r.Err).Msg("object will be tried again")
	}
}

// deadLetters encodes a dead letter for each object that failed. An object that the
// source could not read has no attempt, because no transform has touched it.
func (m *Mapper) deadLetters(w wire.Work, self report.Mapper, failed []transform.Failure) []byte {
	var lines []byte
	for i, object := range chunk.Objects(w.Chunk.Body) {
		if len(failed) == 0 {
			break
		}
		if failed[0].Index != i {
			continue
		}
		letter := chunk.DeadLetter{Ordinal: w.Chunk.First + uint64(i), Chunk: w.Chunk.ID, Error: failed[0].Err, Object: object}
		if !isFlawed(w.Chunk.Bad, i) {
			letter.Attempts, letter.Mapper, letter.Version = w.Attempt, self.Name, self.Version
		}
		lines = letter.Append(lines)
		failed = failed[1:]
	}
	return lines
}

// span begins a span of a chunk as a child of parent. It returns the trace context
// for the next message about the chunk: that of the span, or parent if this mapper does not trace.
func (m *Mapper) span(name string, begin time.Time, id chunk.ID, attempt int, parent wire.Trace) (trace.Span, wire.Trace) {
	span := m.tracer.Start(m.tracer.Parent(parent.Parent, parent.State), name, begin)
	span.Number("chunk", uint64(id))
	span.Number("attempt", uint64(attempt))
	span.Text("mapper", m.cfg.Name)
	span.Text("mapper_id", m.id)
	span.Text("mapper_version", m.task.Load().self.Version)
	if own, state := span.Context().Headers(); own != "" {
		return span, wire.Trace{Parent: own, State: state}
	}
	return span, parent
}
