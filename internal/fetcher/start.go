package fetcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// Status is the desk's latest report, at most a second old while it runs, or
// says what the fetcher waits for before it runs the job.
func (f *Fetcher) Status() report.Status {
	s := *f.last.Load()
	if s.State == report.StateStarting {
		s.Seconds = time.Since(f.started).Seconds()
	}
	return s
}

// begin publishes that the fetcher waits for the saver's answer to the claim.
func (f *Fetcher) begin(why report.HeldBack) {
	f.last.Store(&report.Status{
		Job: f.bus.Job(), Plan: f.planID, State: report.StateStarting, Source: f.plan.Source, StartedAt: f.started, RateLimit: f.cfg.Rate, HeldBack: &why,
		Mappers: []report.MapperStatus{}, Versions: []report.VersionStatus{}, Gone: []report.GoneMapper{}, Stragglers: []report.Straggler{},
	})
}

// waitsForSaver says why the saver has not accepted the claim, as far as is known.
func waitsForSaver(err error) report.HeldBack {
	switch {
	case err == nil:
		return report.HeldBack{By: report.ByStart, Text: "waiting for the saver to accept the claim"}
	case errors.Is(err, bus.ErrOffline):
		return report.HeldBack{By: report.ByNATS, Text: "not connected to NATS: the job begins when the connection is there"}
	case errors.Is(err, bus.ErrNobody):
		return report.HeldBack{By: report.ByStart, Text: "waiting for a saver, but none is running: start one with the same JOB"}
	}
	return report.HeldBack{By: report.ByStart, Text: fmt.Sprintf("waiting for the saver to accept the claim: %v", err)}
}

// tell answers operators before the job is claimed, which may take as long as
// no saver is here. What mappers ask is answered from the claim on.
func (f *Fetcher) tell() (stop func(ctx context.Context) error, err error) {
	stop, err = f.bus.Serve(bus.Service{
		Name: "fetcher", Version: app.Version(), Description: "waits for the saver of job " + f.bus.Job(),
		Endpoints: []bus.Endpoint{
			{Verb: wire.VerbStatus, Handle: f.handleStatus},
			{Verb: wire.VerbControl, Handle: func(r *bus.Request) {
				f.reply(r, wire.ControlAnswer{Plan: f.planID, Reason: ErrNotRunning.Error()}.Encode())
			}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("serve status: %w", err)
	}
	return stop, nil
}
