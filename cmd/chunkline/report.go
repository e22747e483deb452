package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
)

// stateStopped is the state of a job that was stopped before it was done.
const stateStopped report.JobState = "stopped"

// jobReport is the result of a job.
type jobReport struct {
	State       report.JobState `json:"state"`
	Progress    float64         `json:"progress"` // 0 to 1
	Objects     uint64          `json:"objects"`  // in
	Outputs     uint64          `json:"outputs"`
	Dead        uint64          `json:"dead"`
	Chunks      uint64          `json:"chunks"`
	Resumed     uint64          `json:"resumed"` // objects that earlier runs had finished
	Redelivered uint64          `json:"redelivered"`
	Backups     uint64          `json:"backups"`
	BackupWins  uint64          `json:"backup_wins"`
	Duplicates  uint64          `json:"duplicates"`
	Seconds     float64         `json:"seconds"`
	Rate        float64         `json:"rate"` // objects a second, in this run
	Output      string          `json:"output,omitempty"`
	DeadFile    string          `json:"dead_file,omitempty"`
}

func newReport(s report.Status, before sink.Summary, took time.Duration) jobReport {
	r := jobReport{
		State: s.State, Progress: s.Progress, Objects: s.Objects.Saved, Outputs: s.Objects.Outputs, Dead: s.Objects.Dead, Chunks: s.Chunks.Saved,
		Resumed: before.Objects, Redelivered: s.Chunks.Redelivered, Backups: s.Chunks.Backups, BackupWins: s.Chunks.BackupWins, Duplicates: s.Chunks.Duplicates,
		Seconds: took.Seconds(), Output: s.Summary.Output, DeadFile: s.Summary.DeadFile,
	}
	if done := r.Objects - min(before.Objects, r.Objects); done > 0 {
		r.Rate = float64(done) / took.Seconds()
	}
	return r
}

// print writes the report: as JSON to stdout, or as text to stderr.
func (r jobReport) print(stdout, stderr io.Writer, asJSON bool) error {
	var err error
	if asJSON {
		err = printJSON(stdout, r)
	} else {
		_, err = io.WriteString(stderr, r.String())
	}
	if err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

// printJSON prints a value with indents.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// resultName names the output of a finished job for people.
func resultName(output string) string {
	if isStdout(output) {
		return "standard output"
	}
	return output
}

// String returns the report as text.
func (r jobReport) String() string {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(tw, "job %s", r.State)
	if r.Progress < 1 {
		fmt.Fprintf(tw, " at %.1f %%", 100*r.Progress)
	}
	fmt.Fprintln(tw)
	line("objects in", "%d", r.Objects)
	if r.Resumed > 0 {
		line("", "%d of them were done before", r.Resumed)
	}
	line("outputs", "%d", r.Outputs)
	line("dead letters", "%d", r.Dead)
	line("chunks", "%d, redelivered %d, backup attempts %d (%d were first), duplicates dropped %d",
		r.Chunks, r.Redelivered, r.Backups, r.BackupWins, r.Duplicates)
	line("time", "%s, %.0f objects a second", (time.Duration(r.Seconds * float64(time.Second))).Round(time.Millisecond), r.Rate)
	if r.Output != "" {
		line("result", "%s", resultName(r.Output))
	}
	if r.DeadFile != "" {
		line("", "%s", r.DeadFile)
	}
	_ = tw.Flush() // a strings.Builder returns no errors
	return text.String()
}
