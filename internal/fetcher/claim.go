package fetcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	askTimeout = 5 * time.Second        // for one question to the saver
	askPause   = 100 * time.Millisecond // before it is asked again
)

// grant is what the sink gave with the claim.
type grant struct {
	epoch  uint64
	key    []byte // signs leases
	sink   wire.SinkID
	before report.Summary // what the sink held at the claim
	past   wire.VersionPast
}

// claim makes this fetcher the one that runs the job. It waits for as long as
// no saver answers, and says so once.
func (f *Fetcher) claim(ctx context.Context) error {
	f.cfg.Transform = strings.TrimSpace(f.cfg.Transform)
	claim := wire.Sync{Op: wire.SyncClaim, Plan: f.planID, Fetcher: f.bus.ID(), Claim: &f.plan}
	said, begin := false, time.Now()
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
			return fmt.Errorf("claim job: %w", err)
		case err == nil && heard.rivals(time.Now()):
			refused = 0 // which of them is the job's is not ours to say
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
		f.begin(waitsForSaver(err))
		if !said && time.Since(begin) >= app.Patience {
			said = true
			f.log.Warn().Err(err).Msg("waiting for the saver")
		}
		select {
		case <-ctx.Done():
			return ErrUnfinished
		case <-time.After(askPause):
		}
	}
}

// refusal turns a saver's no into the error that ends the job.
func refusal(a wire.SyncAnswer) error {
	switch a.Status {
	case wire.SyncFenced:
		return fmt.Errorf("%w (epoch %d)", ErrFenced, a.Epoch)
	case wire.SyncOtherPlan:
		return fmt.Errorf("%w: %s", ErrOtherPlan, a.Reason)
	default:
		return fmt.Errorf("saver answered %s: %s", a.Status, a.Reason)
	}
}

// ask puts one question to the saver.
func (f *Fetcher) ask(ctx context.Context, q wire.Sync) (wire.SyncAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	reply, err := f.bus.Request(ctx, wire.VerbSync, q.Encode())
	if err != nil {
		return wire.SyncAnswer{}, fmt.Errorf("ask saver: %w", err)
	}
	return wire.DecodeSyncAnswer(reply)
}

// insist asks until the saver answers, or says no for good.
func (f *Fetcher) insist(ctx context.Context, q wire.Sync) (wire.SyncAnswer, error) {
	for {
		answer, err := f.ask(ctx, q)
		switch {
		case err == nil && f.isRival(answer.Sink):
			f.post(ctx, func(d *desk) { d.meet(time.Now(), answer.Sink, answer.Plan == "") })
		case err == nil && answer.Status == wire.SyncOK:
			return answer, nil
		case err == nil && (answer.Status == wire.SyncFenced || answer.Status == wire.SyncOtherPlan):
			return answer, refusal(answer)
		}
		select {
		case <-ctx.Done():
			return wire.SyncAnswer{}, ctx.Err()
		case <-time.After(askPause):
		}
	}
}

// clerk runs the desk's errands to the saver, one after the other.
func (f *Fetcher) clerk(ctx context.Context) {
	for errand := range f.errands {
		errand(ctx)
	}
}
