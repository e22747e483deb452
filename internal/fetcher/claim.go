package fetcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// grant is the sink's answer to the claim.
type grant struct {
	epoch  uint64
	key    []byte // signs leases
	sink   wire.SinkID
	before report.Summary // what the sink held at the claim
	past   wire.VersionPast
}

// claim makes this fetcher the owner of the job. It keeps asking while no saver answers, and logs that once.
func (f *Fetcher) claim(ctx context.Context) error {
	f.cfg.Transform = strings.TrimSpace(f.cfg.Transform)
	claim := f.question(wire.SyncClaim)
	claim.Claim = &f.plan
	logged, begin := false, time.Now()
	heard := newSavers(f.log)
	refused := 0
	for {
		failpoint.Hit("fetcher.claim.sending")
		answer, err := f.ask(ctx, claim)
		if err == nil {
			heard.hear(time.Now(), answer.Sink)
		}
		switch {
		case ctx.Err() != nil:
			return ErrUnfinished
		case errors.Is(err, bus.ErrClosed):
			return app.WithCode(app.ExitUnreachable, fmt.Errorf("claim job: %w", err))
		case err == nil && heard.rivals(time.Now()):
			refused = 0 // it is unclear which of the two sinks has the job
		case err == nil && answer.Status == wire.SyncOK:
			f.grant = grant{sink: answer.Sink, epoch: answer.Epoch, key: answer.Key, before: answer.Summary, past: answer.Past}
			f.log = f.log.With().Uint64("epoch", answer.Epoch).Logger()
			f.strange = app.Sampled(f.log)
			f.log.Info().Uint64("chunks", answer.Summary.Chunks).Str("plan", string(f.planID)).Str("source", f.plan.Source).
				Stringer("after", time.Since(begin).Round(time.Millisecond)).Msg("claimed the job")
			return f.checkTransform()
		case err == nil && answer.Status != wire.SyncFailed:
			if refused++; answer.Sink.ID == "" || refused >= refusals {
				return refusal(answer)
			}
		}
		if err == nil {
			err = errors.New(answer.Reason)
		}
		if text := heard.text(); text != "" {
			err = errors.New(text)
		}
		f.publishWaiting(waitsForSaver(err))
		if !logged && time.Since(begin) >= app.Patience {
			logged = true
			f.log.Warn().Err(err).Msg("waiting for the saver")
		}
		if backoff.Sleep(ctx, askPause) != nil {
			return ErrUnfinished
		}
	}
}

// Status returns the coordinator's latest report, which is at most a second old while it runs. Before that, the status
// says why the claim waits.
func (f *Fetcher) Status() report.Status {
	s := *f.last.Load()
	if s.State == report.StateStarting {
		s.Seconds = time.Since(f.started).Seconds()
	}
	return s
}

// publishWaiting publishes why the claim waits.
func (f *Fetcher) publishWaiting(why report.Bottleneck) {
	f.last.Store(&report.Status{
		Job: f.bus.Job(), Plan: f.planID, State: report.StateStarting, Source: f.plan.Source, StartedAt: f.started, RateLimit: f.cfg.Rate, Bottleneck: &why,
		Mappers: []report.MapperStatus{}, Versions: []report.VersionStatus{}, Gone: []report.GoneMapper{}, Stragglers: []report.Straggler{},
	})
}

// waitsForSaver returns why the saver has not accepted the claim yet.
func waitsForSaver(err error) report.Bottleneck {
	switch {
	case err == nil:
		return report.Bottleneck{Cause: report.CauseStart, Text: "waiting for the saver to accept the claim"}
	case errors.Is(err, bus.ErrOffline):
		return report.Bottleneck{Cause: report.CauseNATS, Text: "not connected to NATS: the job starts once the connection is up"}
	case errors.Is(err, bus.ErrNobody):
		return report.Bottleneck{Cause: report.CauseStart, Text: "waiting for the saver, but none answers: start one with the same JOB"}
	}
	return report.Bottleneck{Cause: report.CauseStart, Text: fmt.Sprintf("waiting for the saver to accept the claim: %v", err)}
}

// serveStatus answers operators until the job is claimed, which requires a saver. Mappers get answers only after that.
func (f *Fetcher) serveStatus() (stop func(ctx context.Context) error, err error) {
	stop, err = f.bus.Serve(bus.Service{
		Name: "fetcher", Version: app.Version(), Description: "waits for the saver of job " + f.bus.Job(),
		Endpoints: []bus.Endpoint{
			{Verb: wire.VerbStatus, Handle: f.handleStatus},
			{Verb: wire.VerbControl, Handle: func(r *bus.Request) { f.answerControl(r, ErrNotRunning) }},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("serve status: %w", err)
	}
	return stop, nil
}
