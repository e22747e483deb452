package fetcher

import (
	"context"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

// committed looks up which pieces the sink held when the job was claimed. It loads a page at a time as the cutting
// proceeds, so that memory does not grow with the job. It misses what mappers of an earlier fetcher commit later: see
// uncut.
type committed struct {
	fetcher *Fetcher
	left    uint64   // committed objects not loaded yet; 0: no need to ask
	upTo    chunk.ID // the page covers chunks below it
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
	q := c.fetcher.question(wire.SyncList)
	q.From, q.Limit = from, pageOf(c.fetcher.plan)
	answer, err := c.fetcher.insist(ctx, q)
	if err != nil {
		return err
	}
	failpoint.Hit("fetcher.page.listed")
	c.upTo = from + chunk.ID(q.Limit)
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

// uncut are the confirmations of pieces whose chunk is not cut yet. Mappers of an earlier fetcher, which was further in
// the source, save such pieces, and committed may have loaded its page before.
type uncut struct {
	of    map[chunk.ID][]wire.SavedPiece
	count int // of all chunks
}

// maxUncut bounds how many of these confirmations are kept: 2 MiB. The objects of the others are mapped again, and their
// results are duplicates.
const maxUncut = 1 << 14

func (u *uncut) add(p wire.SavedPiece) {
	if u.count < maxUncut {
		u.of[p.ID] = append(u.of[p.ID], p)
		u.count++
	}
}

// take removes the confirmations of a chunk and returns them.
func (u *uncut) take(id chunk.ID) []wire.SavedPiece {
	pieces := u.of[id]
	u.count -= len(pieces)
	delete(u.of, id)
	return pieces
}
