package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/retry"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/kinds"
)

func redoCommand() *cobra.Command {
	var output, job, version string
	var asJSON bool
	c := &cobra.Command{
		Use:   "redo -o OUTPUT --version VERSION",
		Short: "Requeue every object that a bad mapper version mapped",
		Long: "redo removes the results of a mapper version in one step. Their objects are mapped again when the job is run again, or when\n" +
			"its fetcher is started again. Stop the mappers of that version first. No saver may have a folder open meanwhile; savers of a\n" +
			"database or a bucket may run. A fetcher that still runs notices within seconds and exits; start it again.",
		Example: "  chunkline redo -o named.jsonl --version v3\n  kubectl scale statefulset/saver --replicas=0   # in a cluster: docs/updates.md",
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if version == "" {
				return app.Usage("--version is not set: name the version whose results to remove, as status shows it")
			}
			result, err := openResult(c.Context(), streamsOf(c).err, output, job, false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, result.Close()) }()
			done, err := result.Redo(c.Context(), version)
			if err != nil {
				return fmt.Errorf("remove results of version %q: %w", version, err)
			}
			return printRedone(c.OutOrStdout(), version, done, result.Term(version) > 0, asJSON)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", outputHelp)
	c.Flags().StringVar(&job, "job", "", jobHelp)
	c.Flags().StringVar(&version, "version", "", "mapper version whose results to remove (required)")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

// printRedone reports what redo has done. fenced says that results of the version were fenced, by this redo or before.
func printRedone(w io.Writer, version string, done sink.Redone, fenced, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(done)
	}
	if done.Chunks == 0 && fenced {
		_, err := fmt.Fprintf(w, "no chunk of version %q is left: an earlier redo removed them, or the version was disabled before it made one. Nothing has changed\n", version)
		return err
	}
	if done.Chunks == 0 {
		_, err := fmt.Fprintf(w, "no chunk was produced by version %q: nothing has changed\n", version)
		return err
	}
	_, err := fmt.Fprintf(w, "requeued %d objects in %d chunks: removed %d outputs and %d dead letters of version %q\n"+
		"now run the job's own command (or its fetcher and saver) again\n", done.Objects, done.Chunks, done.Outputs, done.Dead, version)
	return err
}

// change decides about results that another transform has made.
type change struct {
	accept bool // keep them, and map their dead letters again
	redo   bool // map all of them again
}

// apply checks whether the job was begun with another transform. It then does what the flags say, or refuses, because
// the outputs would be a mixture.
func (c change) apply(ctx context.Context, out kinds.Sink, how retry.Config, std streams) error {
	made := slices.Sorted(maps.Values(out.Transforms()))
	switch {
	case c.redo:
		return redoOthers(ctx, out, how.Spec.Identity(), std)
	case len(made) == 0 || slices.Contains(made, how.Spec.Identity()):
		return nil
	case c.accept:
		dead := out.Summary().Dead
		if dead == 0 {
			return nil
		}
		r, err := retry.Run(ctx, out, how)
		if err != nil {
			return fmt.Errorf("map dead letters again: %w", err)
		}
		fmt.Fprintf(std.err, "%d dead letters were mapped again: %d mapped, %d failed again, %d that no transform can read\n", dead, r.Mapped, r.Failed, r.Unreadable)
		return nil
	}
	return app.Usage("the output was begun with the transform %s, and this is %s: use that one, or add --accept-change (keep what is done, "+
		"and map dead letters again) or --redo (map everything again), or choose another --output", strings.Join(made, " and "), how.Spec.Identity())
}

// redoOthers removes all results that another transform than this has made. If there are any, it also removes the dead
// letters of chunks that were given up, which no mapper has made.
func redoOthers(ctx context.Context, out kinds.Sink, transform string, std streams) error {
	var versions []string
	for version, of := range out.Transforms() {
		if of != transform {
			versions = append(versions, version)
		}
	}
	if len(versions) > 0 && out.Transforms()[givenUp] == "" {
		versions = append(versions, givenUp)
	}
	slices.Sort(versions)
	for _, version := range versions {
		done, err := out.Redo(ctx, version)
		switch {
		case err != nil:
			return fmt.Errorf("remove results of version %q: %w", version, err)
		case done.Objects == 0:
		case version == givenUp:
			fmt.Fprintf(std.err, "mapping %d objects again that were given up\n", done.Objects)
		default:
			fmt.Fprintf(std.err, "mapping %d objects of %s again\n", done.Objects, version)
		}
	}
	return nil
}

// givenUp is the version of results that the fetcher has made: dead letters of chunks that took down too many mappers.
const givenUp = ""
