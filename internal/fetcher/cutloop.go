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
	"github.com/chunkline/chunkline/internal/wire"
)

// pageSize is how many chunk IDs one page of committed entries covers. An entry has 30
// bytes, so a page of whole chunks is well below the server's max_payload.
const pageSize = 8192

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

// committed looks up which pieces the sink held when the job was claimed. It loads a page at a time as the cutting
// proceeds, so that memory does not grow with the job. It misses chunks that mappers of an earlier fetcher commit later.
// Their results here are duplicates.
type committed struct {
	fetcher *Fetcher
	left    uint64 // committed objects not loaded yet; 0: no need to ask
	from    chunk.ID
	upTo    chunk.ID // the page covers from <= ID < upTo
	page    map[chunk.ID][]wire.Entry
}

func (c *committed) lookUp(ctx context.Context, id chunk.ID) ([]wire.Entry, error) {
	if id >= c.upTo && c.left > 0 {
		if err := c.loadPage(ctx, id); err != nil {
			return nil, err
		}
	}
	return c.page[id], nil
}

func (c *committed) loadPage(ctx context.Context, from chunk.ID) error {
	answer, err := c.fetcher.insist(ctx, wire.Sync{
		Op: wire.SyncList, Plan: c.fetcher.planID, Fetcher: c.fetcher.bus.ID(), Epoch: c.fetcher.grant.epoch,
		From: from, Limit: pageSize,
	})
	if err != nil {
		return err
	}
	failpoint.Hit("fetcher.page.listed")
	c.from, c.upTo = from, from+pageSize
	c.page = make(map[chunk.ID][]wire.Entry, len(answer.Entries))
	for _, e := range answer.Entries {
		c.page[e.ID] = append(c.page[e.ID], e)
		c.left -= min(c.left, uint64(e.Objects))
	}
	return nil
}

// none checks that the sink holds no chunk beyond the end of the source.
func (c *committed) none(end chunk.ID) error {
	beyond := c.left > 0
	for id := range c.page {
		beyond = beyond || id >= end
	}
	if beyond {
		return fmt.Errorf("%w: it ends with chunk %d, the sink holds later ones", ErrSourceChanged, int64(end)-1)
	}
	return nil
}
