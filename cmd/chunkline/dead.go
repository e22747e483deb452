package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/retry"
	"github.com/chunkline/chunkline/internal/source"
)

func deadCommand() *cobra.Command {
	group := &cobra.Command{Use: "dead", Short: "List the objects that could not be mapped, or map them again", RunE: needsCommand}
	group.AddCommand(deadListCommand(), deadRetryCommand())
	return group
}

func deadListCommand() *cobra.Command {
	var output, job string
	c := &cobra.Command{
		Use:     "list -o OUTPUT",
		Short:   "Print the dead letters, one JSON line each, in input order",
		Example: "  chunkline dead list -o named.jsonl | jq -r '[.ordinal, .error] | @tsv'",
		RunE: func(c *cobra.Command, _ []string) error {
			result, err := openResult(c.Context(), streamsOf(c).err, output, job, true)
			if err != nil {
				return err
			}
			defer func() { _ = result.Close() }() // it was only read
			var lines []byte
			for r, err := range result.Records(c.Context()) {
				if err != nil {
					return fmt.Errorf("read sink: %w", err)
				}
				if lines, err = result.DeadLetters(lines[:0], r); err != nil {
					return fmt.Errorf("read sink: %w", err)
				}
				if _, err := c.OutOrStdout().Write(lines); err != nil {
					return fmt.Errorf("print dead letters: %w", err)
				}
			}
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", outputHelp)
	c.Flags().StringVar(&job, "job", "", jobHelp)
	return c
}

func deadRetryCommand() *cobra.Command {
	var (
		output  string
		job     string
		inputs  []string
		format  string
		what    transformFlags
		workers int
		timeout time.Duration
		rate    float64
		asJSON  bool
	)
	c := &cobra.Command{
		Use:   "retry -o OUTPUT (-m JQ | -f FILE | --exec COMMAND | --transform SPEC)",
		Short: "Map the dead letters again, after the transform was fixed",
		Long: "retry maps each dead letter again, inserts the new outputs in input order, and writes the output file again.\n" +
			"No saver may have a folder open meanwhile; savers of a database or a bucket may run. Exit code 4: dead letters are left.\n\n" + strings.TrimSpace(jqHelp),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			spec, err := what.spec()
			if err != nil {
				return err
			}
			if workers < 1 || workers > maxWorkers {
				return app.Usage("--workers=%d: use 1 to %d", workers, maxWorkers)
			}
			if err := app.CheckDescriptors(workers, spec.Descriptors()); err != nil {
				return err
			}
			switch {
			case timeout < 0:
				return app.Usage("--timeout=%s: use 0 (no limit) or more", timeout)
			case !app.IsRate(rate):
				return app.Usage("--rate=%g: use 0 (no limit) or more objects a second", rate)
			}
			result, err := openResult(c.Context(), streamsOf(c).err, output, job, false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, result.Close()) }()
			report, err := retry.Run(c.Context(), result, retry.Config{
				Spec: spec, Workers: workers, Timeout: timeout, Retries: what.retries, Rate: rate,
				Source: func() (source.Source, error) {
					plan, _ := result.Plan()
					return openAgain(c, inputs, format, output, plan, result)
				},
			})
			if err != nil && c.Context().Err() != nil {
				err = app.WithCode(app.ExitInterrupted, errors.New("stopped before all dead letters were mapped again; run the same command again"))
			} else if err != nil {
				err = fmt.Errorf("retry dead letters: %w", err)
			}
			return printRetry(c, report, asJSON, err)
		},
	}
	flags := c.Flags()
	flags.StringVarP(&output, "output", "o", "", outputHelp)
	flags.StringVar(&job, "job", "", jobHelp)
	flags.StringArrayVarP(&inputs, "input", "i", nil, againHelp+". Read only for outputs that a table refused")
	flags.StringVar(&format, "format", "", againFormatHelp)
	what.add(c)
	flags.IntVarP(&workers, "workers", "j", runtime.GOMAXPROCS(0), "number of chunks to map at a time")
	flags.DurationVar(&timeout, "timeout", 5*time.Minute, "longest time for one object; 0: no limit")
	flags.Float64Var(&rate, "rate", 0, "most objects mapped a second, retries included; 0: no limit")
	flags.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

// printRetry prints the report, even if err ended the retry.
func printRetry(c *cobra.Command, r retry.Report, asJSON bool, err error) error {
	w := c.OutOrStdout()
	if asJSON {
		if e := json.NewEncoder(w).Encode(r); e != nil {
			return errors.Join(err, fmt.Errorf("print report: %w", e))
		}
	} else {
		fmt.Fprintf(w, "%d mapped, %d failed again, %d that no transform can read\n", r.Mapped, r.Failed, r.Unreadable)
		if !r.Merged {
			fmt.Fprintln(w, "the output file is not up to date: run the job's own command (or its fetcher and saver) again to write it")
		}
	}
	if err != nil {
		return err
	}
	if r.Failed+r.Unreadable > 0 {
		return app.ErrDeadLetters
	}
	return nil
}
