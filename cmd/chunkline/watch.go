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

// How often a job that is watched is asked how far it is.
const (
	watchInterval = 10 * time.Second
	panelInterval = time.Second // on a terminal
)

// status asks the job's fetcher how far it is.
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

// A watch follows a job. Only wrong settings, the end of the job and that of
// its context end it: a fetcher or a server that is away comes back.
type watch struct {
	ask   func(context.Context) (report.Status, error)
	show  func(report.Status, error) error
	every time.Duration
	stay  bool // also when the job is done: another may come
}

// newWatch shows a job on w: on a terminal in place, else in lines.
func newWatch(r *remote, w io.Writer, asJSON, stay bool) watch {
	if !asJSON && isInteractive(w) {
		p := &panel{w: w, size: sizeOf(w)}
		return watch{ask: r.status, show: p.show, every: panelInterval, stay: stay}
	}
	return watch{ask: r.status, show: showChanges(w, asJSON), every: watchInterval, stay: stay}
}

// run returns nil when every object is saved, else what kind of end it was.
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

// stopped is the end of a watch that was told to stop. Who waits for the end
// of the job must not take it for that.
func (w watch) stopped() error {
	if w.stay {
		return nil
	}
	return app.WithCode(app.ExitInterrupted, errors.New("stopped before the job was done"))
}

// showChanges prints a line for each status that differs from the one before.
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

// statusLine is a job's status in one line.
func statusLine(s report.Status) string {
	state := string(s.State)
	if s.Paused {
		state += ", paused"
	}
	return fmt.Sprintf("job %s: %s, %.1f %%, %s", s.Job, state, 100*s.Progress, describe(s))
}

// oneJSON is v on one line; what is given to it can be encoded.
func oneJSON(v any) string {
	line, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(line)
}
