package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/verify"
)

func verifyCommand() *cobra.Command {
	var inputs []string
	var output, format string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify -o OUTPUT [-i INPUT…]",
		Short: "Count source and result, trusting neither",
		Long: "verify cuts the source anew and compares it with what lies in the sink: every object exactly once, made\n" +
			"from the same bytes, and the output file in input order. OUTPUT is what was given to run, or a saver's\n" +
			"folder. A source that was standard input is given again with -i. Exit code 0: all is right.",
		RunE: func(c *cobra.Command, _ []string) error {
			folder, err := openResult(output, true)
			if err != nil {
				return err
			}
			defer func() { _ = folder.Close() }() // it was only read
			plan, claimed := folder.Plan()
			if !claimed {
				return errors.New("no job has begun to fill this sink")
			}
			spec := sourceSpec(inputs)
			if len(inputs) == 0 {
				if spec, err = inputOfPlan(plan.Source); err != nil {
					return err
				}
			}
			if format == "" {
				format = formatOfPlan(plan.Source)
			}
			src, err := openInput(output, format, spec, plan.Size, plan.Bytes, c.InOrStdin())
			if err != nil {
				return err
			}
			defer func() { _ = src.Close() }()
			report, err := verify.Run(c.Context(), src, folder)
			if err != nil {
				return err
			}
			return printVerdict(c, report, asJSON)
		},
	}
	c.Flags().StringArrayVarP(&inputs, "input", "i", nil, "where the source is now, if not where the job read it; - is stdin")
	c.Flags().StringVar(&format, "format", "", "how the objects are written, with -i: auto, lines, array or values; as the job read them if not set")
	c.Flags().StringVarP(&output, "output", "o", "", "what was given to run, or a saver's folder (required)")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

func printVerdict(c *cobra.Command, r verify.Report, asJSON bool) error {
	w := c.OutOrStdout()
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(r); err != nil {
			return fmt.Errorf("print report: %w", err)
		}
	} else {
		for _, p := range r.Problems {
			fmt.Fprintln(w, "wrong:", p)
		}
		for _, m := range r.Made {
			if m.Transform != r.Made[0].Transform || m.Transform != r.Made[len(r.Made)-1].Transform { // not when versions did the same
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

// openResult opens the sink that belongs to what --output names.
func openResult(output string, readOnly bool) (*sink.Folder, error) {
	if output == "" {
		return nil, app.Usage("--output is not set: name what was given to run, or a saver's folder")
	}
	dir, options := output, sink.FolderOptions{ReadOnly: readOnly}
	if of, ok := strings.CutSuffix(filepath.Clean(output), workSuffix); ok { // a work folder was named itself
		output = of
	}
	if info, err := os.Stat(workFolder(output)); err == nil && info.IsDir() {
		dir, options.Output, options.DeadFile = workFolder(output), output, deadFile(output)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, app.Usage("--output %s: there is neither a folder of that name nor %s", output, workFolder(output))
	}
	job, err := jobOf(dir)
	if err != nil {
		return nil, err
	}
	folder, err := sink.OpenFolder(dir, job, options)
	if err != nil {
		return nil, saver.SinkError("--output", err)
	}
	return folder, nil
}

// jobOf reads the job's name from a folder.
func jobOf(dir string) (string, error) {
	folder, err := sink.OpenFolder(dir, "", sink.FolderOptions{ReadOnly: true})
	if err != nil {
		return "", saver.SinkError("--output", err)
	}
	return folder.Job(), folder.Close()
}
