package saver

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// finishing is the state of the merge. Merging takes as long as copying the result, so the fetcher asks again until it
// is done.
type finishing struct {
	epoch   uint64 // in which the merge has begun
	total   wire.Totals
	outcome chan wire.SyncAnswer // nil before the merge has begun
}

// finishUp begins the merge, or answers with its outcome. A failure is answered once and forgotten, so the next
// question starts the merge again. So is the outcome of an earlier epoch: another process may have changed results
// since (redo, dead retry).
func (s *Saver) finishUp(ctx context.Context, merging *errgroup.Group, epoch uint64, total wire.Totals) wire.SyncAnswer {
	if s.finish.outcome != nil && s.finish.total == total && s.finish.epoch != epoch {
		select {
		case <-s.finish.outcome:
			s.finish.outcome = nil
		default: // the merge goes on
		}
	}
	if s.finish.outcome == nil || s.finish.total != total {
		if s.finish.outcome != nil {
			<-s.finish.outcome // one merge at a time: wait for the earlier one, and drop its answer
		}
		s.finish = finishing{epoch: epoch, total: total, outcome: make(chan wire.SyncAnswer, 1)}
		outcome := s.finish.outcome
		merging.Go(func() error { outcome <- s.merge(ctx, total); return nil })
	}
	select {
	case answer := <-s.finish.outcome:
		if answer.Status == wire.SyncOK {
			s.finish.outcome <- answer // for the next question
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
	note(&s.full.merge, err)
	switch {
	case errors.Is(err, sink.ErrFull), errors.Is(err, sink.ErrUnreachable):
		return s.mergeLater(err)
	case err != nil:
		s.log.Debug().Err(err).Msg("could not merge the result") // the fetcher logs the reason, or ends with it
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	s.trouble.merge.Note(nil)
	failpoint.Hit("saver.finish.done")
	s.log.Info().Uint64("objects", summary.Objects).Uint64("dead", summary.Dead).Str("output", summary.Output).Msg("job finished")
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: s.sink.Epoch(), Summary: s.summary(), Load: s.load()}
}

// mergeLater is the answer when the merge has failed, and may work when the fetcher asks again.
func (s *Saver) mergeLater(err error) wire.SyncAnswer {
	s.trouble.merge.Note(err) // this fails ten times a second, but it is logged once
	return wire.SyncAnswer{Status: wire.SyncWorking, Reason: err.Error(), Load: s.load()}
}
