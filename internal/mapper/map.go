package mapper

import (
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

// mapPiece maps one piece. An error means that the piece was dropped, or that the transform itself is broken.
func (m *Mapper) mapPiece(p *piece, own *instance) (result wire.Result, err error) {
	options := transform.Options{Timeout: m.cfg.Timeout, Part: float64(p.Chunk.Count) / float64(p.Of), Growth: own.growth, Retries: m.cfg.Retries, Retrying: m.retrying(p, own.of.spec.Kind())}
	if !p.shadow { // the objects of a shadow piece are saved already, and no rate counts them
		options.After = m.failures.recorder(p.Piece())
		options.Again = func(objects int) { m.failures.retries.Add(uint64(objects)) } // at least 1
	}
	if p.Careful {
		failpoint.Hit("mapper.careful.begun")
		options.Before = func(index int) error { return m.announce(p.ctx, p.Chunk.ID, p.From+index) }
	}
	m.metrics.busy.Add(1)
	defer m.metrics.busy.Add(-1)
	begin := time.Now()
	span, place := m.span(trace.Map, begin, p, p.Trace)
	defer func() { span.Fail(err); span.End() }()
	out, err := transform.Run(p.ctx, own.Transform, p.Chunk.Body, p.flawed(m.drill.fail(p.Chunk.Count)), options)
	if err != nil {
		return wire.Result{}, fmt.Errorf("map piece %s: %w", p.Piece(), err)
	}
	if p.Careful { // if this process crashes now, no object of the piece was the cause
		if err := m.announce(p.ctx, p.Chunk.ID, p.From+p.Chunk.Count); err != nil {
			return wire.Result{}, err
		}
	}
	failpoint.Hit("mapper.chunk.mapped")
	took := time.Since(begin)
	own.growth = float64(len(out.Lines)) / float64(len(p.Chunk.Body))
	m.pace.note(took, p.Chunk.Count)
	m.metrics.mapped(took, p, out)
	span.Number("dead", uint64(len(out.Failed)))
	result = wire.Result{
		Chunk: p.Chunk.ID, From: p.From, Of: p.Of, First: p.Chunk.First, Objects: p.Chunk.Count,
		Attempt: p.Attempt, Digest: p.Digest, Token: p.Token, Trace: place,
		Counts: out.Counts, Outputs: out.Lines, DeadCount: len(out.Failed),
	}
	if len(out.Failed) > 0 {
		result.Dead = m.deadLetters(p, own.of.self, out.Failed)
	}
	m.metrics.bytes["out"].Add(float64(len(result.Outputs) + len(result.Dead)))
	return result, nil
}

// flawed returns the objects that the transform must not touch, by their place in the piece.
func (p *piece) flawed(more []chunk.Flaw) []chunk.Flaw {
	flaws := slices.Concat(p.Chunk.Bad, p.Skip)
	for i := range flaws {
		flaws[i].Index -= p.From
	}
	return append(flaws, more...)
}

// retrying returns a function that counts and logs that an object will be tried again.
func (m *Mapper) retrying(p *piece, kind string) func(transform.Retry) {
	return func(r transform.Retry) {
		m.metrics.retries[kind].Inc()
		m.log.Debug().Uint64("chunk", uint64(p.Chunk.ID)).Int("attempt", p.Attempt).Uint64("ordinal", p.Chunk.First+uint64(r.Index)).
			Int("try", r.Try).Stringer("after", r.Wait).Str("reason", r.Err).Msg("object will be tried again")
	}
}

// deadLetters encodes a dead letter for each object that failed. An object that the source could not read has no
// attempt, because no transform has touched it.
func (m *Mapper) deadLetters(p *piece, self report.Mapper, failed []transform.Failure) []byte {
	var lines []byte
	for i, object := range chunk.Objects(p.Chunk.Body) {
		if len(failed) == 0 {
			break
		}
		if failed[0].Index != i {
			continue
		}
		letter := chunk.DeadLetter{Ordinal: p.Chunk.First + uint64(i), Chunk: p.Chunk.ID, Error: failed[0].Err, Object: object}
		if !isFlawed(p.Chunk.Bad, p.From+i) {
			letter.Attempts, letter.Mapper, letter.Version = p.Attempt, self.Name, self.Version
		}
		lines = letter.Append(lines)
		failed = failed[1:]
	}
	return lines
}

// span begins a span of a piece as a child of parent. It returns the trace context for the next message about the
// piece: that of the span, or parent if this mapper does not trace.
func (m *Mapper) span(name string, begin time.Time, p *piece, parent wire.Trace) (trace.Span, wire.Trace) {
	span := m.tracer.Start(m.tracer.Parent(parent.Parent, parent.State), name, begin)
	span.Number("chunk", uint64(p.Chunk.ID))
	span.Number("attempt", uint64(p.Attempt))
	span.Text("mapper", m.cfg.Name)
	span.Text("mapper_id", m.id)
	span.Text("mapper_version", m.task.Load().self.Version)
	if own, state := span.Context().Headers(); own != "" {
		return span, wire.Trace{Parent: own, State: state}
	}
	return span, parent
}
