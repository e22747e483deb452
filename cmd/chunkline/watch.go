package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// How often the status of a watched job is requested.
const (
	watchInterval = 10 * time.Second
	panelInterval = time.Second // on a terminal
)

// status requests the job's status from its fetcher.
func (r *remote) status(ctx context.Context) (report.Status, error) {
	reply, err := r.ask(ctx, wire.VerbStatus, wire.StatusQuery{}.Encode())
	if err != nil {
		return report.Status{}, err
	}
	status, err := wire.DecodeStatus(reply)
	if err != nil {
		return report.Status{}, fmt.Errorf("read status: %w", err)
	}
	return status, nil
}

// A watch follows a job. It ends with the job, with its context, or because of wrong settings. It continues while a
// fetcher or server is unreachable.
type watch struct {
	ask   func(context.Context) (report.Status, error)
	show  func(report.Status, error) error
	every time.Duration
	stay  bool // continue after the job is done: another may follow
}

// newWatch returns a watch that shows the job on w: in place on a terminal, else in lines.
func newWatch(r *remote, w io.Writer, asJSON, stay bool) watch {
	if !asJSON && isInteractive(w) {
		p := &panel{w: w, size: sizeOf(w)}
		return watch{ask: r.status, show: p.show, every: panelInterval, stay: stay}
	}
	return watch{ask: r.status, show: showChanges(w, asJSON), every: watchInterval, stay: stay}
}

// run returns nil if every object is saved, else an error with the exit code.
func (w watch) run(ctx context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		status, err := w.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return w.stopped()
		case app.Code(err) == app.ExitUsage:
			return err
		}
		if err := w.show(status, err); err != nil {
			return fmt.Errorf("print status: %w", err)
		}
		if err == nil && status.State == report.StateDone && !w.stay {
			if status.Objects.Dead > 0 {
				return app.ErrDeadLetters
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return w.stopped()
		}
	}
}

// stopped returns the result of a watch that was stopped. A script that waits for the end of the job must be able to
// tell the difference.
func (w watch) stopped() error {
	if w.stay {
		return nil
	}
	return app.WithCode(app.ExitInterrupted, errors.New("stopped before the job was done"))
}

// showChanges prints a line for each status that differs from the previous one.
func showChanges(w io.Writer, asJSON bool) func(report.Status, error) error {
	last := ""
	return func(s report.Status, err error) error {
		var line string
		switch {
		case err != nil && asJSON:
			line = oneJSON(map[string]string{"error": err.Error()})
		case err != nil:
			line = err.Error()
		case asJSON:
			line = oneJSON(s)
		default:
			line = statusLine(s)
		}
		if line == last {
			return nil
		}
		last = line
		_, err = fmt.Fprintln(w, line)
		return err
	}
}

// statusLine returns a job's status in one line.
func statusLine(s report.Status) string {
	state := string(s.State)
	if s.Paused {
		state += ", paused"
	}
	return fmt.Sprintf("job %s: %s, %.1f %%, %s", s.Job, state, 100*s.Progress, describe(s))
}

// oneJSON returns v on one line; its callers pass only values that can be encoded.
func oneJSON(v any) string {
	line, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(line)
}
