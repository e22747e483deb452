package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
)

// watchInterval is how often a job that is watched is asked how far it is.
const watchInterval = 10 * time.Second

// status asks the job's fetcher how far it is.
func (r *remote) status(ctx context.Context) (bus.Status, error) {
	reply, err := r.ask(ctx, bus.VerbStatus, bus.StatusQuery{}.Encode())
	if err != nil {
		return bus.Status{}, err
	}
	status, err := bus.DecodeStatus(reply)
	if err != nil {
		return bus.Status{}, fmt.Errorf("read status: %w", err)
	}
	return status, nil
}

// watch prints how far the job is until ctx ends, and only wrong settings end
// it earlier: a fetcher or a server that is away comes back. What has not
// changed is not printed again.
func (r *remote) watch(ctx context.Context, w io.Writer, asJSON bool) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for last := ""; ; {
		status, err := r.status(ctx)
		var line string
		switch {
		case ctx.Err() != nil:
			return nil
		case app.Code(err) == app.ExitUsage:
			return err
		case err != nil && asJSON:
			line = oneJSON(map[string]string{"error": err.Error()})
		case err != nil:
			line = err.Error()
		case asJSON:
			line = oneJSON(status)
		default:
			line = statusLine(status)
		}
		if line != last {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return fmt.Errorf("print status: %w", err)
			}
			last = line
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// statusLine is a job's status in one line.
func statusLine(s bus.Status) string {
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
