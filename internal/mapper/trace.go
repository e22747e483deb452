package mapper

import (
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// span begins a span of a chunk under the place that came with it, and returns
// the place that goes on with it: the span's, or, when this mapper does not
// trace, the one that came.
func (m *Mapper) span(name string, begin time.Time, id chunk.ID, attempt int, came wire.Trace) (trace.Span, wire.Trace) {
	span := m.tracer.Start(m.tracer.Parent(came.Parent, came.State), name, begin)
	span.Number("chunk", uint64(id))
	span.Number("attempt", uint64(attempt))
	span.Text("mapper", m.cfg.Name)
	span.Text("mapper_id", m.id)
	span.Text("mapper_version", m.task.Load().self.Version)
	if parent, state := span.Context().Headers(); parent != "" {
		return span, wire.Trace{Parent: parent, State: state}
	}
	return span, came
}
