package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/sink"
)

func redoCommand() *cobra.Command {
	var output, version string
	var asJSON bool
	c := &cobra.Command{
		Use:   "redo -o OUTPUT --version VERSION",
		Short: "Put the chunks that a bad version of mappers has made back to work",
		Long: "redo takes the results of a version out of what is done, all in one step; the job has the chunks mapped again when it\n" +
			"is run again, or when its saver and fetcher are started again. Take the bad version's mappers away first. No saver may have the\n" +
			"folder open meanwhile; a fetcher that still runs notices within seconds, and ends: it is to be started again.",
		Example: "  chunkline redo -o named.jsonl --version v3\n  kubectl scale deployment/saver --replicas=0   # in a cluster: docs/updates.md",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if version == "" {
				return app.Usage("--version is not set: name the version whose results are to go, as status tells it")
			}
			folder, err := openResult(output, false)
			if err != nil {
				return err
			}
			defer func() { err = joinClose(err, folder) }()
			done, err := folder.Redo(c.Context(), version)
			if err != nil {
				return fmt.Errorf("take out results of version %q: %w", version, err)
			}
			return printRedone(c.OutOrStdout(), version, done, asJSON)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "what was given to run, or a saver's folder (required)")
	c.Flags().StringVar(&version, "version", "", "version of the mappers whose results are to go (required)")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

func printRedone(w io.Writer, version string, done sink.Redone, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(done)
	}
	if done.Chunks == 0 {
		_, err := fmt.Fprintf(w, "no chunk was made by version %q: nothing has changed\n", version)
		return err
	}
	_, err := fmt.Fprintf(w, "%d chunks of %d objects go back to work: %d outputs and %d dead letters of version %q are taken out\n"+
		"run the job's own command (or its fetcher and saver) again\n", done.Chunks, done.Objects, done.Outputs, done.Dead, version)
	return err
}
