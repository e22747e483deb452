package fetcher

import (
	"context"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

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
