package fetcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
)

// Status is the desk's latest report, at most a second old while it runs, or
// says what the fetcher waits for before it runs the job.
func (f *Fetcher) Status() bus.Status {
	s := *f.last.Load()
	if s.State == bus.StateStarting {
		s.Seconds = time.Since(f.started).Seconds()
	}
	return s
}

// begin publishes that the fetcher waits for the saver's answer to the claim.
func (f *Fetcher) begin(why bus.HeldBack) {
	f.last.Store(&bus.Status{
		Job: f.bus.Job(), Plan: f.planID, State: bus.StateStarting, Source: f.plan.Source, StartedAt: f.started, RateLimit: f.cfg.Rate, HeldBack: &why,
		Mappers: []bus.MapperStatus{}, Versions: []bus.VersionStatus{}, Gone: []bus.GoneMapper{}, Stragglers: []bus.Straggler{},
	})
}

// waitsForSaver says why the saver has not accepted the claim, as far as is known.
func waitsForSaver(err error) bus.HeldBack {
	switch {
	case err == nil:
		return bus.HeldBack{By: bus.ByStart, Text: "waiting for the saver to accept the claim"}
	case errors.Is(err, bus.ErrOffline):
		return bus.HeldBack{By: bus.ByNATS, Text: "NATS is away: the job begins when it is here"}
	case errors.Is(err, bus.ErrNobody):
		return bus.HeldBack{By: bus.ByStart, Text: "waiting for the saver, and none is here: start one with the same JOB"}
	}
	return bus.HeldBack{By: bus.ByStart, Text: fmt.Sprintf("waiting for the saver to accept the claim: %v", err)}
}

// tell answers operators before the job is claimed, which may take as long as
// no saver is here. What mappers ask is answered from the claim on.
func (f *Fetcher) tell() (stop func(ctx context.Context) error, err error) {
	stop, err = f.bus.Serve(bus.Service{
		Name: "fetcher", Version: app.Version(), Description: "waits for the saver of job " + f.bus.Job(),
		Endpoints: []bus.Endpoint{
			{Verb: bus.VerbStatus, Handle: f.handleStatus},
			{Verb: bus.VerbControl, Handle: func(r *bus.Request) {
				f.reply(r, bus.ControlAnswer{Plan: f.planID, Reason: ErrNotRunning.Error()}.Encode())
			}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("serve status: %w", err)
	}
	return stop, nil
}
