package fetcher

import (
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/wire"
)

// traceCut begins the trace of a chunk that was cut.
func (f *Fetcher) traceCut(begin time.Time, c chunk.Chunk) trace.Context {
	span := f.tracer.Begin(trace.Fetch, begin)
	span.Number("chunk", uint64(c.ID))
	span.Number("objects", uint64(c.Count))
	span.Number("bytes", uint64(len(c.Body)))
	span.Number("epoch", f.grant.epoch)
	span.End()
	return span.Context()
}

// traceWait is the time from when a chunk was ready to when its mapper has been
// sent it. A backup attempt has not waited.
func (f *Fetcher) traceWait(now time.Time, h *held, l ledger.Lease, to report.Mapper) trace.Span {
	ready := h.ready
	if l.Backup {
		ready = now
	}
	span := f.tracer.Start(h.trace, trace.Wait, ready)
	span.Number("chunk", uint64(l.ID))
	span.Number("attempt", uint64(l.Attempt))
	span.Number("epoch", f.grant.epoch)
	span.Flag("backup", l.Backup)
	span.Text("mapper", to.Name)
	span.Text("mapper_id", to.ID)
	span.Text("mapper_version", to.Version)
	return span
}

// headers are a place in a trace as it travels.
func headers(c trace.Context) wire.Trace {
	parent, state := c.Headers()
	return wire.Trace{Parent: parent, State: state}
}
