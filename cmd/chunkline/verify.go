package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink/kinds"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/verify"
)

func verifyCommand() *cobra.Command {
	var inputs []string
	var output, job, format string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify -o OUTPUT [-i INPUT…]",
		Short: "Check a result against its source, object by object",
		Long: "verify cuts the source again and compares it with the result: every object must be there exactly once, made\n" +
			"from the same bytes, and the output file must be in input order. OUTPUT is the --output of run, or a saver's\n" +
			"folder. If the source was a command, an API or stdin, verify reads the copy that run has kept. Exit code 0: no problems.",
		RunE: func(c *cobra.Command, _ []string) error {
			result, err := openResult(c.Context(), streamsOf(c).err, output, job, true)
			if err != nil {
				return err
			}
			defer func() { _ = result.Close() }() // it was only read
			plan, claimed := result.Plan()
			if !claimed {
				return errors.New("no job has begun to fill this sink")
			}
			src, err := openAgain(c, inputs, format, output, plan, result)
			if err != nil {
				return err
			}
			defer func() { _ = src.Close() }()
			report, err := verify.Run(c.Context(), src, result)
			if err != nil {
				return err
			}
			return printVerdict(c, report, asJSON)
		},
	}
	c.Flags().StringArrayVarP(&inputs, "input", "i", nil, againHelp)
	c.Flags().StringVar(&format, "format", "", againFormatHelp)
	c.Flags().StringVarP(&output, "output", "o", "", outputHelp)
	c.Flags().StringVar(&job, "job", "", jobHelp)
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

// The help of flags that name the source of a job again.
const (
	againHelp       = "the source, if it is not where the job read it; - is stdin"
	againFormatHelp = "with -i: format of the input, as for run; by default as the job read it"
)

// openAgain opens the source of a job again: inputs if there are any, else where the job has read it.
func openAgain(c *cobra.Command, inputs []string, format, output string, plan chunk.Plan, result kinds.Sink) (source.Source, error) {
	switch {
	case len(inputs) > 0:
		return openInput(written(output), cmp.Or(format, formatOfPlan(plan.Source)), inputs, plan.Size, plan.Bytes, "", streamsOf(c))
	case format != "":
		return nil, app.Usage("--format is for --input")
	}
	return sourceOf(output, result)
}

// sourceOf opens the source of a job again.
func sourceOf(output string, out kinds.Sink) (source.Source, error) {
	plan, claimed := out.Plan()
	if !claimed {
		return nil, errors.New("no job has begun to fill this sink")
	}
	_, folder := out.Identity()
	if kinds.IsStore(output) {
		folder = jobFolder(output, out.Job())
		if err := checkJobFolder(folder, out); err != nil && (isStdin(plan.Source) || source.IsStream(plan.Source)) {
			return nil, err
		}
	}
	return reopenInput(plan, folder)
}

func printVerdict(c *cobra.Command, r verify.Report, asJSON bool) error {
	w := c.OutOrStdout()
	if asJSON {
		if err := printJSON(w, r); err != nil {
			return fmt.Errorf("print report: %w", err)
		}
	} else {
		for _, p := range r.Problems {
			fmt.Fprintln(w, "wrong:", p)
		}
		for _, m := range r.Made {
			if m.Transform != r.Made[0].Transform || m.Transform != r.Made[len(r.Made)-1].Transform { // only if versions had different transforms
				fmt.Fprintf(w, "version %s: %d outputs, %d dead letters of %d chunks, made by %s\n", m.Version, m.Outputs, m.Dead, m.Chunks, cmp.Or(m.Transform, "an unknown transform"))
			}
		}
		fmt.Fprintf(w, "%d objects in %d chunks: %d outputs, %d dead letters, %d problems\n",
			r.Objects, r.Chunks, r.Outputs, r.Dead, r.Failures)
	}
	if !r.OK() {
		return fmt.Errorf("verify: %d problems", r.Failures)
	}
	return nil
}
