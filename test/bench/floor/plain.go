//go:build bench

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/test/bench/corenats"
)

const plainWorkers = 2

// block is some lines, and their results once done is closed.
type block struct {
	lines, results []byte
	done           chan struct{}
}

// plain is the obvious program for one machine: it reads, checks and maps lines on
// two goroutines, writes the results in order and syncs once.
func plain(ctx context.Context, s settings) error {
	file, err := os.Create(s.out)
	if err != nil {
		return err
	}
	work := make(chan *block, 2*plainWorkers)
	ordered := make(chan *block, 4*plainWorkers)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(work)
		defer close(ordered)
		return corenats.EachChunk(s.in, func(body []byte) error {
			b := &block{lines: slices.Clone(body), done: make(chan struct{})}
			for _, to := range []chan<- *block{ordered, work} {
				select {
				case to <- b:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range plainWorkers {
		group.Go(func() (err error) {
			for b := range work {
				if b.results, err = corenats.MapChunk(mapUser, b.lines, nil); err != nil {
					return err
				}
				close(b.done)
			}
			return nil
		})
	}
	group.Go(func() error {
		for b := range ordered {
			select {
			case <-b.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if _, err := file.Write(b.results); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(group.Wait(), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("map %s: %w", s.in, err)
	}
	return nil
}
