package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/trace"
)

const (
	// pageSize is how many chunk IDs one page of committed entries covers. An entry has 30
	// bytes, so a page of whole chunks is well below the server's max_payload.
	pageSize = 8192

	// mostEntries bounds the entries of a page: wire allows twice as many, and the answer must come within askTimeout.
	mostEntries = 1 << 19
)

// pageOf returns how many chunks the saver is asked about at a time. A chunk has an entry for each piece in which it
// was saved, and slow objects are saved one by one.
func pageOf(p chunk.Plan) int { return max(1, min(pageSize, mostEntries/p.Size)) }

// cut is a chunk cut from the source.
type cut struct {
	chunk  chunk.Chunk
	mark   source.Mark
	digest chunk.Digest
	trace  trace.Context

	saved    []chunk.Piece // pieces that the sink already holds
	complete bool          // it holds the whole chunk
}

// cutLoop reads chunks from the source and compares them with those in the sink. It closes cuts after the last chunk.
func (f *Fetcher) cutLoop(ctx context.Context) error {
	past := committed{fetcher: f, left: f.grant.before.Objects}
	var next chunk.ID
	for {
		begin := time.Now()
		c, mark, err := f.source.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return unlessStopped(ctx, fmt.Errorf("read source: %w", err))
		}
		next = c.ID + 1
		digest := c.Digest()
		fresh := cut{chunk: c, mark: mark, digest: digest}
		known, err := past.lookUp(ctx, c.ID)
		if err != nil {
			return unlessStopped(ctx, err)
		}
		objects := 0
		for _, e := range known {
			if e.Digest != digest || e.Of != c.Count {
				return changed(c.ID, c.First, c.Count)
			}
			fresh.saved, objects = append(fresh.saved, e.Piece()), objects+e.Objects
		}
		if fresh.complete = objects == c.Count; !fresh.complete {
			fresh.trace = f.traceCut(begin, c)
		}
		select {
		case f.cuts <- fresh:
		case <-ctx.Done():
			return nil
		}
	}
	if err := past.none(next); err != nil {
		return err
	}
	failpoint.Hit("fetcher.source.ended")
	close(f.cuts)
	return nil
}

// traceCut begins the trace of a chunk with the span of its cutting.
func (f *Fetcher) traceCut(begin time.Time, c chunk.Chunk) trace.Context {
	span := f.tracer.Begin(trace.Fetch, begin)
	span.Number("chunk", uint64(c.ID))
	span.Number("objects", uint64(c.Count))
	span.Number("bytes", uint64(len(c.Body)))
	span.Number("epoch", f.grant.epoch)
	span.End()
	return span.Context()
}

// unlessStopped returns err, or nil if ctx has ended.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // when ctx ends, the source has not failed
	}
	return err
}

func changed(id chunk.ID, first uint64, objects int) error {
	return fmt.Errorf("%w: chunk %d (objects %d to %d) differs", ErrSourceChanged, id, first, first+uint64(objects)-1)
}
