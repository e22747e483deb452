package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/retry"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/transform"
)

// change is what is to become of results that another transform made.
type change struct {
	accept bool // they stay, and their dead letters are mapped again
	redo   bool // all of them are mapped again
}

// settle refuses to go on with a job that was begun with another transform, since
// its outputs would be a mixture, unless somebody has said what is to become of
// what is there.
func (c change) settle(ctx context.Context, out *sink.Folder, spec transform.Spec, workers int, timeout time.Duration, std streams) error {
	made := slices.Sorted(maps.Values(out.Transforms()))
	if len(made) == 0 || slices.Contains(made, spec.Identity()) {
		return nil
	}
	switch {
	case c.redo:
		for _, version := range slices.Sorted(maps.Keys(out.Transforms())) {
			done, err := out.Redo(ctx, version)
			if err != nil {
				return fmt.Errorf("take out results of version %q: %w", version, err)
			}
			fmt.Fprintf(std.err, "%d objects are mapped again, which %s had mapped\n", done.Objects, version)
		}
		return nil
	case c.accept:
		dead := out.Summary().Dead
		if dead == 0 {
			return nil
		}
		r, err := retry.Run(ctx, out, retry.Config{Spec: spec, Workers: max(1, workers), Timeout: timeout})
		if err != nil {
			return fmt.Errorf("map dead letters again: %w", err)
		}
		fmt.Fprintf(std.err, "%d dead letters were mapped again: %d mapped, %d failed again, %d that no transform can read\n", dead, r.Mapped, r.Failed, r.Unreadable)
		return nil
	}
	return app.Usage("the output was begun with the transform %s, and this is %s: go on with that one, or add --accept-change (what is done stays, "+
		"and dead letters are mapped again) or --redo (everything is mapped again), or choose another --output", strings.Join(made, " and "), spec.Identity())
}
