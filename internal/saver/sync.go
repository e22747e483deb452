package saver

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	maxSyncs = 64   // questions that wait; a fetcher asks one at a time
	maxList  = 8192 // entries on one page: 8 + 16 bytes each, far below max_payload
)

// handleSync queues a question of the fetcher; one that finds the queue full
// is dropped, and asked again.
func (s *Saver) handleSync(r *bus.Request) {
	select {
	case s.syncs <- r:
	default:
		s.strange.Warn().Msg("dropped a sync question: too many at once")
	}
}

// finishing is the state of merging the result, which takes as long as
// copying it does. The fetcher asks again until it is done.
type finishing struct {
	total   wire.Totals
	outcome chan wire.SyncAnswer // nil: not begun
}

// syncLoop answers the fetcher's questions, one at a time, until syncs is closed
// or ctx ends.
func (s *Saver) syncLoop(ctx context.Context) error {
	merging := new(errgroup.Group) // at most one member at a time
	for {
		select {
		case r, open := <-s.syncs:
			if !open {
				return merging.Wait()
			}
			s.handle(ctx, merging, r)
		case <-ctx.Done():
			return merging.Wait()
		}
	}
}

func (s *Saver) handle(ctx context.Context, merging *errgroup.Group, r *bus.Request) {
	failpoint.Hit("saver.sync.received")
	question, err := wire.DecodeSync(r.Message)
	if err != nil {
		// A question that was damaged says nothing about the sink.
		s.strange.Warn().Err(err).Msg("refused a sync question")
		if err := r.Refuse(err); err != nil {
			s.log.Debug().Err(err).Msg("answer to the fetcher was lost")
		}
		return
	}
	s.reply(r, s.answerSync(ctx, merging, question))
	failpoint.Hit("saver.sync.answered")
}

func (s *Saver) reply(r *bus.Request, a wire.SyncAnswer) {
	a.Plan, a.Sink = s.planID(), s.sinkID()
	if err := r.Reply(a.Encode()); err != nil {
		s.log.Debug().Err(err).Msg("answer to the fetcher was lost")
	}
}

func (s *Saver) answerSync(ctx context.Context, merging *errgroup.Group, q wire.Sync) wire.SyncAnswer {
	if q.Op == wire.SyncClaim {
		return s.claim(ctx, q)
	}
	switch {
	case s.planID() != q.Plan:
		return wire.SyncAnswer{Status: wire.SyncOtherPlan, Reason: s.otherPlan()}
	case q.Epoch != s.sink.Epoch():
		return wire.SyncAnswer{Status: wire.SyncFenced, Epoch: s.sink.Epoch(), Reason: "a newer fetcher has claimed the job"}
	case q.Op == wire.SyncList:
		return s.list(ctx, q)
	case q.Op == wire.SyncFinish:
		return s.finishUp(ctx, merging, q.Total)
	case q.Op == wire.SyncDead:
		return s.dead(ctx, q)
	case q.Op == wire.SyncFence:
		return s.fenceVersion(ctx, q)
	case q.Op == wire.SyncShadow:
		return wire.SyncAnswer{Status: wire.SyncOK, Epoch: q.Epoch, Shadow: s.shadows.report()}
	}
	return wire.SyncAnswer{Status: wire.SyncFailed, Reason: fmt.Sprintf("unknown operation %q", q.Op)}
}

func (s *Saver) claim(ctx context.Context, q wire.Sync) wire.SyncAnswer {
	grant, err := s.sink.Claim(ctx, *q.Claim, q.Fetcher)
	switch {
	case errors.Is(err, sink.ErrOtherPlan):
		return wire.SyncAnswer{Status: wire.SyncOtherPlan, Reason: err.Error()}
	case errors.Is(err, sink.ErrFenced):
		return wire.SyncAnswer{Status: wire.SyncFenced, Epoch: s.sink.Epoch(), Reason: err.Error()}
	case err != nil:
		s.trouble.claim.Note(err)
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	s.trouble.claim.Note(nil)
	failpoint.Hit("saver.claim.recorded")
	s.log.Info().Uint64("epoch", grant.Epoch).Str("fetcher_id", q.Fetcher).Str("plan", string(q.Claim.ID())).Msg("job claimed")
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: grant.Epoch, Key: grant.Key, Past: wire.VersionPast{Terms: grant.Terms, Transforms: grant.Transforms}, Summary: s.summary()}
}

// fenceVersion refuses from now on what a version was given so far.
func (s *Saver) fenceVersion(ctx context.Context, q wire.Sync) wire.SyncAnswer {
	if err := s.sink.FenceVersion(ctx, q.Version, q.Term); err != nil {
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	s.log.Warn().Str("mapper_version", q.Version).Msg("version is fenced: what it was given before is not saved any more")
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: q.Epoch, Summary: s.summary()}
}

func (s *Saver) list(ctx context.Context, q wire.Sync) wire.SyncAnswer {
	var entries []sink.Entry
	var err error
	if q.Chunks != nil {
		entries, err = s.sink.Has(ctx, q.Chunks)
	} else {
		entries, err = s.sink.List(ctx, q.From, min(q.Limit, maxList))
	}
	if err != nil {
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	page := make([]wire.Entry, len(entries))
	for i, e := range entries {
		page[i] = wire.Entry(e)
	}
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: q.Epoch, Entries: page, Summary: s.summary(), Load: s.load()}
}

// finishUp begins to merge the result, or says how that went. A failure is
// reported once and forgotten, so that asking again tries again.
func (s *Saver) finishUp(ctx context.Context, merging *errgroup.Group, total wire.Totals) wire.SyncAnswer {
	if s.finish.outcome == nil || s.finish.total != total {
		if s.finish.outcome != nil {
			<-s.finish.outcome // one merge at a time; a finished one left its answer here
		}
		s.finish = finishing{total: total, outcome: make(chan wire.SyncAnswer, 1)}
		outcome := s.finish.outcome
		merging.Go(func() error { outcome <- s.merge(ctx, total); return nil })
	}
	select {
	case answer := <-s.finish.outcome:
		if answer.Status == wire.SyncOK {
			s.finish.outcome <- answer // for whoever asks next
		} else {
			s.finish.outcome = nil
		}
		return answer
	default:
		return wire.SyncAnswer{Status: wire.SyncWorking, Load: s.load()}
	}
}

func (s *Saver) merge(ctx context.Context, total wire.Totals) wire.SyncAnswer {
	failpoint.Hit("saver.finish.beginning")
	summary, err := s.sink.Finish(ctx, total.Chunks, total.Objects)
	if err != nil {
		s.trouble.merge.Note(err) // while there is no space it fails ten times a second
		if errors.Is(err, sink.ErrFull) {
			note(&s.full.merge, err)
			return wire.SyncAnswer{Status: wire.SyncWorking, Reason: err.Error(), Load: s.load()} // there may be space later
		}
		note(&s.full.merge, nil)
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	note(&s.full.merge, nil)
	s.trouble.merge.Note(nil)
	failpoint.Hit("saver.finish.done")
	s.log.Info().Uint64("objects", summary.Objects).Uint64("dead", summary.Dead).Str("output", summary.Output).Msg("job finished")
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: s.sink.Epoch(), Summary: s.summary()}
}

// sinkID tells the fetcher a second sink from its own; empty if the sink has no name.
func (s *Saver) sinkID() wire.SinkID {
	named, ok := s.sink.(interface{ Identity() (id, at string) })
	if !ok {
		return wire.SinkID{}
	}
	id, at := named.Identity()
	return wire.SinkID{ID: id, At: app.Hostname() + ":" + at}
}

// summary is what the sink holds so far.
func (s *Saver) summary() report.Summary {
	held := s.sink.Summary()
	return report.Summary{
		Chunks: held.Chunks, Objects: held.Objects, Outputs: held.Outputs, OutputBytes: held.OutputBytes,
		Dead: held.Dead, Duplicates: s.duplicates.Load(), Output: held.Output, DeadFile: held.DeadFile,
	}
}
